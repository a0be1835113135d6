//! Goes through tables of 2^20 pages of 4 KiB, and answers how many leaves there were.

use std::cell::Cell;
use std::hint::black_box;

use memory_addr::VirtAddr;
use page_table_entry::GenericPTE;
use page_table_entry::x86_64::X64PTE;

use crate::clock::Subject;
use crate::program::{Work, Works};
use crate::tables::{LEAVES, MULTIARCH, mapped};

pub const ONE_BY_ONE: &str = "list 1,048,576 leaves one by one";

pub fn works() -> Works {
    vec![Work { peer: MULTIARCH, name: ONE_BY_ONE.into(), prepare: Box::new(multiarch) }]
}

fn multiarch() -> Subject {
    let tables = mapped(0, LEAVES);
    let call = move || {
        let leaves = Cell::new(0);
        let see = |level: usize, _: usize, gva: VirtAddr, entry: &X64PTE| {
            if level == 3 || entry.is_huge() {
                black_box((gva, entry.paddr(), entry.flags()));
                leaves.set(leaves.get() + 1);
            }
        };
        tables.walk(usize::MAX, Some(&see), None);
        leaves.get()
    };
    Subject { operations: LEAVES, call: Box::new(call) }
}
