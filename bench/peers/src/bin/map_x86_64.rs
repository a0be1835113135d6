//! Mapping by x86_64.

use guestmem_peers::{map, program};

fn main() {
    program::main([map::x86_64_crate()]);
}
