//! Walks of 4-level tables.

use guestmem_peers::{program, walk};

fn main() {
    program::main([walk::works()]);
}
