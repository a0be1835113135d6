//! Listings by memflow, every leaf.

use guestmem_peers::{memflow, program};

fn main() {
    program::main([memflow::list()]);
}
