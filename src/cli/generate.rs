//! `bifocal generate`: the manual and shell completions, from the definition of the arguments.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use super::failure::{Code, Failure};

pub(super) fn run(folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Code::Failed, format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "bifocal", folder).map_err(failed)?;
    }
    Ok(())
}
