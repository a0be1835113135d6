//! `read_obj` of 8 bytes.

use guestmem_peers::program;
use guestmem_peers::vm_memory::{v016, v018};

fn main() {
    program::main([v018::works::read_8(), v016::works::read_8()]);
}
