//! Chains taken and given back.

use guestmem_peers::{program, queue};

fn main() {
    program::main([queue::chain()]);
}
