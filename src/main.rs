//! The `bifocal` command.

#[global_allocator]
static ALLOCATOR: bifocal::internals::memory::CountingAllocator = bifocal::internals::memory::CountingAllocator;

fn main() -> std::process::ExitCode {
    bifocal::command()
}
