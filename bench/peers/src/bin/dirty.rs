//! `AtomicBitmap`.

use guestmem_peers::program;
use guestmem_peers::vm_memory::{v016, v018};

fn main() {
    program::main([v018::works::dirty(), v016::works::dirty()]);
}
