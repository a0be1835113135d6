//! The Rust originals that guestmem is measured beside. See bench/README.md.
//!
//! Each operation has a program of its own in `src/bin`, with one caller of each function, and set-up and checks go
//! around the library: then LLVM inlines the whole way from the caller to the copy, and the peer is seen at its best.
//! When set-up and checks went through the library as well, 8 bytes of vm-memory 0.18 took 34 ns instead of 4.

mod clock;
pub mod list;
pub mod map;
pub mod memflow;
mod plan;
pub mod program;
pub mod queue;
mod tables;
pub mod vm_memory;
pub mod walk;
