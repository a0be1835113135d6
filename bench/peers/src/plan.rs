//! What is measured: the same addresses, bytes and names as in bench/peers/harness/plan.ts.

pub const START: u64 = 0x1_0000_0000;
pub const REGION: u64 = 4 << 20;
pub const SEAM: u64 = START + REGION;

#[derive(Clone, Copy)]
pub enum Place {
    Inside,
    Seam,
    /// Anywhere among so many regions.
    Among(u64),
}

impl Place {
    /// Start and size of each region.
    pub fn ranges(self) -> Vec<(u64, u64)> {
        match self {
            Place::Inside => vec![(START, REGION)],
            Place::Seam => vec![(START, REGION), (SEAM, REGION)],
            Place::Among(regions) => (0..regions).map(|i| (START + i * 8192, 4096)).collect(),
        }
    }

    /// Where each operation of one call goes.
    pub fn addresses(self, length: u64) -> Vec<u64> {
        match self {
            Place::Inside => {
                let count = (16384 / length).clamp(4, 512);
                (0..count).map(|i| START + i * length).collect()
            }
            Place::Seam => {
                let count = 7 * (8192 / length).clamp(1, 8);
                (0..count).map(|i| SEAM - (1 + i % 7) * length / 8).collect()
            }
            Place::Among(regions) => {
                let mut seed: u32 = 1;
                let mut next = |below: u64| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (u64::from(seed) * below) >> 32
                };
                (0..1024).map(|_| START + next(regions) * 8192 + next(512) * 8).collect()
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Place::Inside => write!(f, "inside a region"),
            Place::Seam => write!(f, "across a seam"),
            Place::Among(regions) => write!(f, "at random among {regions} regions"),
        }
    }
}

/// What lies at an address before the first access.
pub fn byte_at(address: u64) -> u8 {
    let offset = address - START;
    (offset * 13 + (offset >> 8) * 7) as u8
}

/// What is written by the writes of blocks.
pub fn block(length: u64) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + (i >> 8)) as u8).collect()
}
