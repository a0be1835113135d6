//! `write_slice`.

use guestmem_peers::program;
use guestmem_peers::vm_memory::{v016, v018};

fn main() {
    program::main([v018::works::write_slice(), v016::works::write_slice()]);
}
