//! virtio-queue's split queue: the batches of bench/cases/p9-queue.ts, the driver's part as short as there.

use std::hint::black_box;
use std::io::Read;

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory_018::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::clock::Subject;
use crate::program::{Work, Works};

const PEER: &str = "virtio-queue 0.18.0";
const BATCH: usize = 16;
const PAYLOAD: u64 = 64;
const BUFFERS: u64 = 0x10000;
const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 4096;
const USED: u64 = 4616;

type Chain<'a> = DescriptorChain<&'a GuestMemoryMmap>;

pub fn chain() -> Works {
    vec![Work {
        peer: PEER,
        name: "queue: chain of one descriptor, in batches of 16".into(),
        prepare: Box::new(|| batches(false, |_, mut chain| chain.next().unwrap().addr().0)),
    }]
}

pub fn payload() -> Works {
    vec![Work {
        peer: PEER,
        name: "queue: the same with 64 B read and event index".into(),
        prepare: Box::new(|| {
            let mut payload = [0; PAYLOAD as usize];
            batches(true, move |memory, chain| {
                chain.reader(memory).unwrap().read_exact(&mut payload).unwrap();
                u64::from(black_box(&payload)[0])
            })
        }),
    }]
}

fn batches(event_index: bool, mut work: impl FnMut(&GuestMemoryMmap, Chain) -> u64 + 'static) -> Subject {
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x10_0000)]).unwrap();
    // The driver writes from beside, so that the device is the library's only caller.
    let ram = memory.get_host_address(GuestAddress(0)).unwrap();
    let write = move |at: u64, bytes: &[u8]| {
        // SAFETY: all addresses of the plan above lie in the 1 MiB.
        unsafe { ram.add(at as usize).copy_from(bytes.as_ptr(), bytes.len()) };
    };
    write(0, &[0; 0x10_0000]);
    for head in 0..256 {
        let buffer = BUFFERS + (head % BATCH as u64) * PAYLOAD;
        write(DESCRIPTORS + head * 16, &buffer.to_le_bytes());
        write(DESCRIPTORS + head * 16 + 8, &(PAYLOAD as u32).to_le_bytes());
        write(AVAILABLE + 4 + head * 2, &(head as u16).to_le_bytes());
        write(buffer, &[(head % BATCH as u64) as u8 + 1]);
    }
    let mut queue = Queue::new(256).unwrap();
    queue.set_desc_table_address(Some(DESCRIPTORS as u32), Some(0));
    queue.set_avail_ring_address(Some(AVAILABLE as u32), Some(0));
    queue.set_used_ring_address(Some(USED as u32), Some(0));
    queue.set_event_idx(event_index);
    queue.set_ready(true);
    assert!(queue.is_valid(&memory));
    let mut available = 0u16;
    Subject {
        operations: BATCH,
        call: Box::new(move || {
            let memory = black_box(&memory);
            available = available.wrapping_add(BATCH as u16);
            write(AVAILABLE + 2, &available.to_le_bytes());
            let mut sum = 0;
            // The iterator reads the available index once for the batch; it borrows the queue, so that the chains are
            // given back after it.
            let mut heads = [0; BATCH];
            let mut count = 0;
            for chain in queue.iter(memory).unwrap() {
                heads[count] = chain.head_index();
                count += 1;
                sum += work(memory, chain);
            }
            for &head in &heads[..count] {
                queue.add_used(memory, head, 0).unwrap();
            }
            sum + u64::from(queue.needs_notification(memory).unwrap())
        }),
    }
}
