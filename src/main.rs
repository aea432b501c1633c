//! The `bifocal` command.

fn main() -> std::process::ExitCode {
    bifocal::command()
}
