//! vm-memory before and after its 0.17 rewrite: the same source against both.

#[path = "."]
pub mod v018 {
    use vm_memory_018 as vm_memory;
    use vm_memory_018::GuestMemoryBackend as Regions;
    const PEER: &str = "vm-memory 0.18.0";
    #[path = "memory_works.rs"]
    pub mod works;
}

#[path = "."]
pub mod v016 {
    use vm_memory_016 as vm_memory;
    use vm_memory_016::GuestMemory as Regions;
    const PEER: &str = "vm-memory 0.16.2";
    #[path = "memory_works.rs"]
    pub mod works;
}
