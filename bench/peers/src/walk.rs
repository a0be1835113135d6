//! Walks of 4-level x86-64 tables by crates of kernels: they trust the tables, which lie in memory of their own, so that
//! there is no look-up of guest memory, no check of an address in a table, and the rights of the leaf alone count.

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use memory_addr::{MemoryAddr, PhysAddr, VirtAddr};
use page_table_entry::x86_64::X64PTE;
use page_table_multiarch::{MappingFlags, PageTable64, PagingHandler, PagingMetaData};
use x86_64::structures::paging::mapper::{
    MappedPageTable, PageTableFrameMapping, Translate, TranslateResult,
};
use x86_64::structures::paging::{PageTable, PageTableFlags, PhysFrame};

use crate::clock::Subject;
use crate::program::{Work, Works};

const WORK: &str = "walk of 4 levels, no TLB";
/// As in bench/cases/p7-walk.ts.
const RAM: usize = 0x1_0000_0000;
const TABLES: usize = 0x10_0000;
const MAPPED: usize = 8 << 20;
const GVA: usize = 0xffff_8880_0000_0000;
const STEPS: usize = 512;

pub fn works() -> Works {
    vec![
        Work { peer: "page_table_multiarch 0.6.2", name: WORK.into(), prepare: Box::new(multiarch) },
        Work { peer: "x86_64 0.15.5", name: WORK.into(), prepare: Box::new(x86_64_crate) },
    ]
}

/// Where the physical addresses of the tables, from `RAM` on, lie in this process.
fn host(physical: usize) -> usize {
    static FRAMES: OnceLock<usize> = OnceLock::new();
    let frames = *FRAMES.get_or_init(|| {
        let layout = std::alloc::Layout::from_size_align(TABLES, 4096).unwrap();
        // SAFETY: the layout has a size; the tables live as long as the process.
        unsafe { std::alloc::alloc_zeroed(layout) as usize }
    });
    frames + (physical - RAM)
}

struct Frames;

impl PagingHandler for Frames {
    fn alloc_frames(count: usize, align: usize) -> Option<PhysAddr> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        assert!(count == 1 && align <= 4096);
        let at = NEXT.fetch_add(4096, Ordering::Relaxed);
        (at < TABLES).then(|| PhysAddr::from(RAM + at))
    }

    fn dealloc_frames(_: PhysAddr, _: usize) {}

    fn phys_to_virt(physical: PhysAddr) -> VirtAddr {
        VirtAddr::from(host(physical.as_usize()))
    }
}

/// The crate's own metadata of x86-64 would flush the TLB, which a process may not.
struct FourLevels;

impl PagingMetaData for FourLevels {
    const LEVELS: usize = 4;
    const PA_MAX_BITS: usize = 52;
    const VA_MAX_BITS: usize = 48;
    type VirtAddr = VirtAddr;
    fn flush_tlb(_: Option<VirtAddr>) {}
}

type Tables = PageTable64<FourLevels, X64PTE, Frames>;

fn tables() -> Tables {
    let mut tables = Tables::try_new().unwrap();
    let target = |gva: VirtAddr| PhysAddr::from(RAM + TABLES + gva.sub(GVA).as_usize());
    let flags = MappingFlags::READ | MappingFlags::WRITE;
    tables.cursor().map_region(VirtAddr::from(GVA), target, MAPPED, flags, false).unwrap();
    tables
}

fn steps(mut walk: impl FnMut(usize) -> u64 + 'static) -> Subject {
    Subject {
        operations: STEPS,
        call: Box::new(move || (0..STEPS).map(|i| walk(GVA + ((i * 37) & 511) * 4096 + 24)).sum()),
    }
}

fn multiarch() -> Subject {
    let tables = tables();
    steps(move |gva| {
        let (physical, flags, _) = black_box(&tables).query(VirtAddr::from(gva)).unwrap();
        assert!(flags.contains(MappingFlags::WRITE));
        physical.as_usize() as u64
    })
}

struct Offset;

// SAFETY: every frame of the tables lies in the allocation of `host`.
unsafe impl PageTableFrameMapping for Offset {
    fn frame_to_pointer(&self, frame: PhysFrame) -> *mut PageTable {
        host(frame.start_address().as_u64() as usize) as *mut PageTable
    }
}

fn x86_64_crate() -> Subject {
    let root = host(tables().root_paddr().as_usize()) as *mut PageTable;
    // SAFETY: the tables are whole, and nobody else uses them: giving frames back does nothing.
    let mapped = unsafe { MappedPageTable::new(&mut *root, Offset) };
    steps(move |gva| match black_box(&mapped).translate(x86_64::VirtAddr::new(gva as u64)) {
        TranslateResult::Mapped { frame, offset, flags } => {
            assert!(flags.contains(PageTableFlags::WRITABLE));
            frame.start_address().as_u64() + offset
        }
        other => panic!("{other:?}"),
    })
}
