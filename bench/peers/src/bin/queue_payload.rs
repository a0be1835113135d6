//! The same with the payload read, and the driver notified by event index.

use guestmem_peers::{program, queue};

fn main() {
    program::main([queue::payload()]);
}
