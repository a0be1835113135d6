//! Walks of 4-level x86-64 tables by crates of kernels: they trust the tables, which lie in memory of their own, so that
//! there is no look-up of guest memory, no check of an address in a table, and the rights of the leaf alone count.

use std::hint::black_box;

use memory_addr::VirtAddr;
use page_table_multiarch::MappingFlags;
use x86_64::structures::paging::mapper::{
    MappedPageTable, PageTableFrameMapping, Translate, TranslateResult,
};
use x86_64::structures::paging::{PageTable, PageTableFlags, PhysFrame};

use crate::clock::Subject;
use crate::program::{Work, Works};
use crate::tables::{GVA, MULTIARCH, RAM, X86_64, host, mapped};

pub const WORK: &str = "walk of 4 levels, no TLB";
/// As in bench/cases/p7-walk.ts: 8 MiB behind 1 MiB for the tables.
const TARGET: usize = RAM + 0x10_0000;
const PAGES: usize = 2048;
const STEPS: usize = 512;

pub fn works() -> Works {
    vec![
        Work { peer: MULTIARCH, name: WORK.into(), prepare: Box::new(multiarch) },
        Work { peer: X86_64, name: WORK.into(), prepare: Box::new(x86_64_crate) },
    ]
}

/// The address of each step of one call.
pub fn addresses() -> impl Iterator<Item = usize> {
    (0..STEPS).map(|i| GVA + ((i * 37) & 511) * 4096 + 24)
}

/// Physical address of the root of the tables that are walked.
pub fn root() -> usize {
    let tables = mapped(TARGET, PAGES);
    let root = tables.root_paddr().as_usize();
    std::mem::forget(tables);
    root
}

pub fn steps(mut walk: impl FnMut(usize) -> u64 + 'static) -> Subject {
    Subject { operations: STEPS, call: Box::new(move || addresses().map(&mut walk).sum()) }
}

fn multiarch() -> Subject {
    let tables = mapped(TARGET, PAGES);
    steps(move |gva| {
        let (physical, flags, _) = black_box(&tables).query(VirtAddr::from(gva)).unwrap();
        assert!(flags.contains(MappingFlags::WRITE));
        physical.as_usize() as u64
    })
}

pub struct Offset;

// SAFETY: every frame of the tables lies in the allocation of `host`.
unsafe impl PageTableFrameMapping for Offset {
    fn frame_to_pointer(&self, frame: PhysFrame) -> *mut PageTable {
        host(frame.start_address().as_u64() as usize) as *mut PageTable
    }
}

fn x86_64_crate() -> Subject {
    let root = host(root()) as *mut PageTable;
    // SAFETY: the tables are whole, and nobody else uses them.
    let mapped = unsafe { MappedPageTable::new(&mut *root, Offset) };
    steps(move |gva| match black_box(&mapped).translate(x86_64::VirtAddr::new(gva as u64)) {
        TranslateResult::Mapped { frame, offset, flags } => {
            assert!(flags.contains(PageTableFlags::WRITABLE));
            frame.start_address().as_u64() + offset
        }
        other => panic!("{other:?}"),
    })
}
