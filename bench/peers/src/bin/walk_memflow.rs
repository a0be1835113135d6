//! Walks by memflow, one address at a time.

use guestmem_peers::{memflow, program};

fn main() {
    program::main([memflow::walk_one()]);
}
