//! Walks and listings by memflow, which reads a guest from outside as guestmem does: tables are read through a map of
//! physical memory, and an entry that leads nowhere is an error. It looks at the present, write, no-execute and size bits.

use std::hint::black_box;

use memflow::architecture::x86::X86VirtualTranslate;
use memflow::architecture::x86::x64::{self};
use memflow::cglue::CTup2;
use memflow::connector::MappedPhysicalMemory;
use memflow::mem::virt_translate::VirtualTranslation;
use memflow::mem::{DirectTranslate, MemoryMap, VirtualDma, VirtualTranslate};
use memflow::types::{Address, PageType, umem};

use crate::clock::Subject;
use crate::list::ONE_BY_ONE;
use crate::program::{Work, Works};
use crate::tables::{ARENA, GVA, LEAVES, RAM, host, mapped};
use crate::walk::{self, addresses, root, steps};

const PEER: &str = "memflow 0.2.4";
const BATCHES: &str = "memflow 0.2.4, 512 in a batch";

pub fn walk_one() -> Works {
    vec![Work { peer: PEER, name: walk::WORK.into(), prepare: Box::new(one) }]
}

pub fn walk_batch() -> Works {
    vec![Work { peer: BATCHES, name: walk::WORK.into(), prepare: Box::new(batch) }]
}

pub fn list() -> Works {
    vec![Work { peer: PEER, name: ONE_BY_ONE.into(), prepare: Box::new(one_by_one) }]
}

pub fn list_joined() -> Works {
    let name = "list 1,048,576 leaves, neighbours joined".into();
    vec![Work { peer: PEER, name, prepare: Box::new(joined) }]
}

type Physical = MappedPhysicalMemory<&'static mut [u8], MemoryMap<&'static mut [u8]>>;
type Virtual = VirtualDma<Physical, DirectTranslate, X86VirtualTranslate>;

fn space(root: usize) -> Virtual {
    // SAFETY: the arena lives as long as the process, and from here on it is memflow's alone.
    let arena = unsafe { std::slice::from_raw_parts_mut(host(RAM) as *mut u8, ARENA) };
    let mut map = MemoryMap::new();
    map.push(Address::from(RAM as umem), arena);
    let translator = x64::new_translator(Address::from(root as umem));
    VirtualDma::new(Physical::with_info(map), x64::ARCH, translator)
}

fn one() -> Subject {
    let mut space = space(root());
    steps(move |gva| {
        let found = black_box(&mut space).virt_to_phys(Address::from(gva as umem)).unwrap();
        assert!(found.page_type().contains(PageType::WRITEABLE));
        found.address().to_umem()
    })
}

fn batch() -> Subject {
    let mut space = space(root());
    let wanted: Vec<_> = addresses().map(|gva| CTup2(Address::from(gva as umem), 1)).collect();
    let operations = wanted.len();
    let call = move || {
        let mut sum = 0;
        let found = &mut |VirtualTranslation { out_physical, .. }| {
            assert!(out_physical.page_type().contains(PageType::WRITEABLE));
            sum += out_physical.address().to_umem();
            true
        };
        space.virt_to_phys_list(&wanted, found.into(), (&mut |_| panic!()).into());
        sum
    };
    Subject { operations, call: Box::new(call) }
}

/// A call for each piece that `list` hands out of all that is mapped.
fn listing(list: impl Fn(&mut Virtual, &mut dyn FnMut(VirtualTranslation)) + 'static) -> Subject {
    let tables = mapped(0, LEAVES);
    let root = tables.root_paddr().as_usize();
    std::mem::forget(tables);
    let mut space = space(root);
    let call = move || {
        let mut pieces = 0;
        list(&mut space, &mut |piece| {
            black_box(piece);
            pieces += 1;
        });
        pieces
    };
    Subject { operations: LEAVES, call: Box::new(call) }
}

fn ends() -> (Address, Address) {
    (Address::from(GVA as umem), Address::from((GVA + LEAVES * 4096) as umem))
}

fn one_by_one() -> Subject {
    listing(|space, see| {
        let (start, end) = ends();
        let out = &mut |piece| {
            see(piece);
            true
        };
        space.virt_to_phys_range(start, end, out.into());
    })
}

fn joined() -> Subject {
    listing(|space, see| {
        let (start, end) = ends();
        let out = &mut |piece| {
            see(piece);
            true
        };
        space.virt_translation_map_range(start, end, out.into());
    })
}
