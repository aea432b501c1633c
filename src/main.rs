//! The `bifocal` command.

use std::alloc::System;

use bifocal::internals::memory::ProgramAllocator;

#[global_allocator]
static ALLOCATOR: ProgramAllocator = ProgramAllocator(System);

fn main() -> std::process::ExitCode {
    bifocal::command()
}
