//! `write_obj` of 96 bytes.

use guestmem_peers::program;
use guestmem_peers::vm_memory::{v016, v018};

fn main() {
    program::main([v018::works::write_96(), v016::works::write_96()]);
}
