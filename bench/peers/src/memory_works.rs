//! Reads, writes, atomics, `memory()` and dirty marking of the vm-memory that the module around provides.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use super::vm_memory::bitmap::{AtomicBitmap, Bitmap};
use super::vm_memory::{
    AtomicAccess, ByteValued, Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap,
};
use super::{PEER, Regions};
use crate::clock::Subject;
use crate::plan::{self, Place};
use crate::program::{Work, Works};

const TOUCHING: [Place; 2] = [Place::Inside, Place::Seam];
const ALL: [Place; 4] = [Place::Inside, Place::Seam, Place::Among(2), Place::Among(256)];
/// Sizes that are copied by `read_slice` and `write_slice`; the smaller two are objects.
const SLICES: [(u64, &str); 3] = [(512, "512 B"), (4096, "4 KiB"), (65536, "64 KiB")];

/// An object of 96 bytes, read and written whole.
#[derive(Clone, Copy)]
#[repr(C)]
struct Object([u8; 96]);

// SAFETY: bytes only, no padding, every pattern of bits is valid.
unsafe impl ByteValued for Object {}

fn work(name: String, prepare: impl FnOnce() -> Subject + 'static) -> Work {
    Work { peer: PEER, name, prepare: Box::new(prepare) }
}

/// A memory whose every byte is there before the clock runs. It is filled from beside: calls of the library here would
/// be further callers of what is measured.
fn filled(place: Place) -> GuestMemoryMmap {
    let ranges = place.ranges();
    let sized: Vec<_> = ranges.iter().map(|&(start, size)| (GuestAddress(start), size as usize)).collect();
    let memory = GuestMemoryMmap::from_ranges(&sized).unwrap();
    for (start, size) in ranges {
        let bytes: Vec<u8> = (start..start + size).map(plan::byte_at).collect();
        // SAFETY: the region is `size` bytes long, and nobody else knows of it yet.
        unsafe { host(&memory, start).copy_from(bytes.as_ptr(), bytes.len()) };
    }
    memory
}

fn host(memory: &GuestMemoryMmap, address: u64) -> *mut u8 {
    memory.get_host_address(GuestAddress(address)).unwrap()
}

pub fn read_8() -> Works {
    let each = ALL.into_iter();
    each.map(|place| work(format!("read 8 B {place}"), move || reads_8(place))).collect()
}

fn reads_8(place: Place) -> Subject {
    let memory = filled(place);
    let addresses = place.addresses(8);
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            let mut sum = 0u32;
            for &address in &addresses {
                let value: u64 = memory.read_obj(GuestAddress(address)).unwrap();
                sum = sum.wrapping_add(value as u32).wrapping_add((value >> 32) as u32);
            }
            sum.into()
        }),
    }
}

pub fn read_96() -> Works {
    let each = TOUCHING.into_iter();
    each.map(|place| work(format!("read 96 B {place}"), move || reads_96(place))).collect()
}

fn reads_96(place: Place) -> Subject {
    let memory = filled(place);
    let addresses = place.addresses(96);
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            let mut sum = 0;
            for (i, &address) in addresses.iter().enumerate() {
                let object: Object = memory.read_obj(GuestAddress(address)).unwrap();
                sum += u64::from(black_box(&object).0[i & 63]);
            }
            sum
        }),
    }
}

pub fn read_slice() -> Works {
    let each = TOUCHING.into_iter().flat_map(|place| SLICES.map(|size| (place, size)));
    each.map(|(place, (length, size))| {
        work(format!("read {size} {place}"), move || reads_slice(place, length))
    })
    .collect()
}

fn reads_slice(place: Place, length: u64) -> Subject {
    let memory = filled(place);
    let addresses = place.addresses(length);
    let mut dest = vec![0; length as usize];
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            let mut sum = 0;
            for (i, &address) in addresses.iter().enumerate() {
                memory.read_slice(&mut dest, GuestAddress(address)).unwrap();
                sum += u64::from(black_box(&dest)[i & 63]);
            }
            sum
        }),
    }
}

/// Answers from what lies at the first address and at both ends of the last write, looked at from beside.
fn seen(memory: &GuestMemoryMmap, addresses: &[u64], length: u64) -> impl Fn() -> u64 + use<> {
    let last = addresses[addresses.len() - 1];
    let places = [addresses[0], last, last + length - 1].map(|address| host(memory, address));
    move || {
        // SAFETY: the closure stands beside the memory that the places are in.
        let [first, start, end] = places.map(|place| u64::from(unsafe { place.read_volatile() }));
        first + 256 * start + 65536 * end
    }
}

pub fn write_8() -> Works {
    let each = TOUCHING.into_iter();
    each.map(|place| work(format!("write 8 B {place}"), move || writes_8(place))).collect()
}

fn writes_8(place: Place) -> Subject {
    let memory = filled(place);
    let addresses = place.addresses(8);
    let seen = seen(&memory, &addresses, 8);
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            for (i, &address) in addresses.iter().enumerate() {
                let value = (u64::from(!(i as u32)) << 32) | i as u64;
                memory.write_obj(value, GuestAddress(address)).unwrap();
            }
            seen()
        }),
    }
}

pub fn write_96() -> Works {
    let each = TOUCHING.into_iter();
    each.map(|place| work(format!("write 96 B {place}"), move || writes_96(place))).collect()
}

fn writes_96(place: Place) -> Subject {
    let memory = filled(place);
    let addresses = place.addresses(96);
    let seen = seen(&memory, &addresses, 96);
    let object = Object(plan::block(96).try_into().unwrap());
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            for &address in &addresses {
                memory.write_obj(*black_box(&object), GuestAddress(address)).unwrap();
            }
            seen()
        }),
    }
}

pub fn write_slice() -> Works {
    let each = TOUCHING.into_iter().flat_map(|place| SLICES.map(|size| (place, size)));
    each.map(|(place, (length, size))| {
        work(format!("write {size} {place}"), move || writes_slice(place, length))
    })
    .collect()
}

fn writes_slice(place: Place, length: u64) -> Subject {
    let memory = filled(place);
    let addresses = place.addresses(length);
    let seen = seen(&memory, &addresses, length);
    let block = plan::block(length);
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            for &address in &addresses {
                memory.write_slice(black_box(&block), GuestAddress(address)).unwrap();
            }
            seen()
        }),
    }
}

/// `Atomics` of JavaScript are sequentially consistent, so these are too.
pub fn atomics() -> Works {
    vec![
        work("atomic load u16".into(), loads::<u16>),
        work("atomic load u32".into(), loads::<u32>),
        work("atomic load u64".into(), loads::<u64>),
        work("atomic store u16".into(), || stores(|i| i as u16)),
        work("atomic store u32".into(), || stores(|i| i as u32)),
        work("atomic store u64".into(), || stores(|i| i as u64)),
    ]
}

fn loads<T: AtomicAccess + Into<u64>>() -> Subject {
    let memory = filled(Place::Inside);
    let addresses = Place::Inside.addresses(8);
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            let mut sum = 0u32;
            for &address in &addresses {
                let value: u64 = memory.load::<T>(GuestAddress(address), Ordering::SeqCst).unwrap().into();
                sum = sum.wrapping_add(value as u32).wrapping_add((value >> 32) as u32);
            }
            sum.into()
        }),
    }
}

fn stores<T: AtomicAccess>(value: impl Fn(usize) -> T + 'static) -> Subject {
    let memory = filled(Place::Inside);
    let addresses = Place::Inside.addresses(8);
    let seen = seen(&memory, &addresses, 2);
    Subject {
        operations: addresses.len(),
        call: Box::new(move || {
            let memory = black_box(&memory);
            for (i, &address) in addresses.iter().enumerate() {
                memory.store(value(i), GuestAddress(address), Ordering::SeqCst).unwrap();
            }
            seen()
        }),
    }
}

/// `memory()` of two address spaces in turn, as on guestmem's side.
pub fn address_space() -> Works {
    vec![work("memory() of an atomic address space".into(), || {
        const OPERATIONS: usize = 1000;
        let spaces = [0, 1].map(|_| GuestMemoryAtomic::new(filled(Place::Among(10))));
        let wanted: *const GuestMemoryMmap = &*spaces[1].memory();
        let call = move || {
            let spaces = black_box(&spaces);
            (0..OPERATIONS).filter(|i| std::ptr::eq(&*spaces[i & 1].memory(), wanted)).count() as u64
        };
        Subject { operations: OPERATIONS, call: Box::new(call) }
    })]
}

pub fn dirty() -> Works {
    let each = [(1, "1 page"), (16, "16 pages"), (64, "64 pages"), (256, "256 pages")].into_iter();
    each.map(|(pages, name)| work(format!("mark {name} dirty"), move || marks(pages))).collect()
}

/// Marks one range after another; from the second call on the bits are set already, as in a busy guest.
fn marks(pages: usize) -> Subject {
    const PAGE: usize = 4096;
    const OPERATIONS: usize = 64;
    let bitmap = AtomicBitmap::new(OPERATIONS * pages * PAGE, NonZeroUsize::new(PAGE).unwrap());
    Subject {
        operations: OPERATIONS,
        call: Box::new(move || {
            let bitmap = black_box(&bitmap);
            for i in 0..OPERATIONS {
                bitmap.mark_dirty(i * pages * PAGE, pages * PAGE);
            }
            (0..OPERATIONS).filter(|i| bitmap.dirty_at(i * pages * PAGE)).count() as u64
        }),
    }
}
