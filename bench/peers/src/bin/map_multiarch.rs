//! Mapping by page_table_multiarch.

use guestmem_peers::{map, program};

fn main() {
    program::main([map::multiarch()]);
}
