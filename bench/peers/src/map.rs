//! Builds tables of 2^20 pages of 4 KiB, in frames that held such tables before.

use memory_addr::VirtAddr;
use x86_64::structures::paging::mapper::{MappedPageTable, Mapper};
use x86_64::structures::paging::{FrameAllocator, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB};

use crate::clock::Subject;
use crate::program::{Work, Works};
use crate::tables::{GVA, LEAVES, MULTIARCH, X86_64, host, mapped, next_frame, start_over, used};
use crate::walk::Offset;

const WORK: &str = "map 1,048,576 pages of 4 KiB";

pub fn multiarch() -> Works {
    vec![Work { peer: MULTIARCH, name: WORK.into(), prepare: Box::new(by_region) }]
}

pub fn x86_64_crate() -> Works {
    vec![Work { peer: X86_64, name: WORK.into(), prepare: Box::new(page_by_page) }]
}

fn by_region() -> Subject {
    let call = || {
        start_over();
        let tables = mapped(0, LEAVES);
        let (last, ..) = tables.query(VirtAddr::from(GVA + (LEAVES - 1) * 4096)).unwrap();
        // To drop it would go through all of it.
        std::mem::forget(tables);
        (used() + last.as_usize()) as u64
    };
    Subject { operations: LEAVES, call: Box::new(call) }
}

struct NextFrame;

// SAFETY: a frame is given out once until all start over.
unsafe impl FrameAllocator<Size4KiB> for NextFrame {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let frame = next_frame()? as u64;
        Some(PhysFrame::containing_address(x86_64::PhysAddr::new(frame)))
    }
}

fn page_by_page() -> Subject {
    let call = || {
        start_over();
        let root = host(next_frame().unwrap()) as *mut PageTable;
        // SAFETY: the frame is nobody else's. A table of zeros is an empty one.
        let root = unsafe {
            root.write_bytes(0, 1);
            &mut *root
        };
        // SAFETY: `Offset` finds every frame that `NextFrame` gives.
        let mut tables = unsafe { MappedPageTable::new(root, Offset) };
        let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE;
        let first = Page::<Size4KiB>::containing_address(x86_64::VirtAddr::new(GVA as u64));
        for i in 0..LEAVES as u64 {
            let frame = PhysFrame::containing_address(x86_64::PhysAddr::new(i * 4096));
            // SAFETY: no processor uses these tables.
            unsafe { tables.map_to(first + i, frame, flags, &mut NextFrame) }.unwrap().ignore();
        }
        let last = tables.translate_page(first + (LEAVES as u64 - 1)).unwrap();
        used() as u64 + last.start_address().as_u64()
    };
    Subject { operations: LEAVES, call: Box::new(call) }
}
