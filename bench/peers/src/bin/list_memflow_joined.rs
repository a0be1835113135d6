//! Listings by memflow, neighbours joined.

use guestmem_peers::{memflow, program};

fn main() {
    program::main([memflow::list_joined()]);
}
