//! The `bifocal` command.

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    if bifocal::boot::wanted() {
        bifocal::boot::main();
    }
    bifocal::cli::main()
}
