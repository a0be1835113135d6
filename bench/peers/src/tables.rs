//! What the peers of page tables share: tables of x86-64 in 64 MiB of this process, which stand for the physical addresses
//! from `RAM` on, as in guestmem's cases.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use memory_addr::{MemoryAddr, PhysAddr, VirtAddr};
use page_table_entry::x86_64::X64PTE;
use page_table_multiarch::{MappingFlags, PageTable64, PagingHandler, PagingMetaData};

pub const MULTIARCH: &str = "page_table_multiarch 0.6.2";
pub const X86_64: &str = "x86_64 0.15.5";
pub const RAM: usize = 0x1_0000_0000;
pub const GVA: usize = 0xffff_8880_0000_0000;
pub const LEAVES: usize = 1 << 20;
pub const ARENA: usize = 64 << 20;
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Where the physical addresses of the tables, from `RAM` on, lie in this process.
pub fn host(physical: usize) -> usize {
    static FRAMES: OnceLock<usize> = OnceLock::new();
    let frames = *FRAMES.get_or_init(|| {
        let layout = std::alloc::Layout::from_size_align(ARENA, 4096).unwrap();
        // SAFETY: the layout has a size; the tables live as long as the process.
        unsafe { std::alloc::alloc_zeroed(layout) as usize }
    });
    frames + (physical - RAM)
}

/// The next frame; it may hold what it held before `start_over`.
pub fn next_frame() -> Option<usize> {
    let at = NEXT.fetch_add(4096, Ordering::Relaxed);
    (at < ARENA).then_some(RAM + at)
}

/// Bytes of the tables so far.
pub fn used() -> usize {
    NEXT.load(Ordering::Relaxed)
}

/// Takes all frames back. Whoever calls it has no tables any more.
pub fn start_over() {
    NEXT.store(0, Ordering::Relaxed);
}

pub struct Frames;

impl PagingHandler for Frames {
    fn alloc_frames(count: usize, align: usize) -> Option<PhysAddr> {
        assert!(count == 1 && align <= 4096);
        next_frame().map(PhysAddr::from)
    }

    fn dealloc_frames(_: PhysAddr, _: usize) {}

    fn phys_to_virt(physical: PhysAddr) -> VirtAddr {
        VirtAddr::from(host(physical.as_usize()))
    }
}

/// The crate's own metadata of x86-64 would flush the TLB, which a process may not.
pub struct FourLevels;

impl PagingMetaData for FourLevels {
    const LEVELS: usize = 4;
    const PA_MAX_BITS: usize = 52;
    const VA_MAX_BITS: usize = 48;
    type VirtAddr = VirtAddr;
    fn flush_tlb(_: Option<VirtAddr>) {}
}

pub type Tables = PageTable64<FourLevels, X64PTE, Frames>;

/// New tables that map `pages` of 4 KiB from `GVA` on, to physical addresses from `gpa` on.
pub fn mapped(gpa: usize, pages: usize) -> Tables {
    let mut tables = Tables::try_new().unwrap();
    let target = |gva: VirtAddr| PhysAddr::from(gpa + gva.sub(GVA).as_usize());
    let flags = MappingFlags::READ | MappingFlags::WRITE;
    tables.cursor().map_region(VirtAddr::from(GVA), target, pages * 4096, flags, false).unwrap();
    tables
}
