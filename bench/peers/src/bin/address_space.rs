//! `memory()` of `GuestMemoryAtomic`.

use guestmem_peers::program;
use guestmem_peers::vm_memory::{v016, v018};

fn main() {
    program::main([v018::works::address_space(), v016::works::address_space()]);
}
