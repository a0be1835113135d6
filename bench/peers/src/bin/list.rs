//! Listings by page_table_multiarch.

use guestmem_peers::{list, program};

fn main() {
    program::main([list::works()]);
}
