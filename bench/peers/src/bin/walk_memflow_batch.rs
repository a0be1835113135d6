//! Walks by memflow, many addresses at a time.

use guestmem_peers::{memflow, program};

fn main() {
    program::main([memflow::walk_batch()]);
}
