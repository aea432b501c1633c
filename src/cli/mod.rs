//! The command line: arguments, progress, printing, exit codes.

mod args;
mod bench;
mod catalogue;
mod doctor;
mod eval;
mod failure;
mod folder;
mod generate;
mod interrupt;
mod list;
mod live;
mod models;
mod picture;
mod plan;
mod print;
mod progress;
mod report;
mod session;
mod settings;
mod shard;
mod upscale;
#[cfg(unix)]
mod video;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::{Code, Failure};
use progress::Progress;

/// Runs the command.
pub fn main() -> ExitCode {
    report::catch_want_of_memory();
    report::catch_panics();
    interrupt::let_long_writes_fail();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help for a reader that has left is no failure. What was typed is in an error, and not for the terminal to obey.
            let typed = |argument: OsString| matches!(report::shown(&argument.to_string_lossy()), Cow::Owned(_));
            if error.use_stderr() && std::env::args_os().any(typed) {
                let text = error.render().to_string();
                let lines: Vec<_> = text.lines().map(report::shown).collect();
                let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
            } else {
                let _ = error.print();
            }
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    report::start_log(cli.verbose, cli.quiet);
    // Unwinding, not aborting: what is half written must be removed on the way out.
    match std::panic::catch_unwind(|| run(&cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            if failure.code == Code::Closed {
                log::info!("{failure}");
            } else {
                report::line(&failure.to_string());
            }
            if let Some(signal) = failure.signal() {
                interrupt::end_by(signal);
            }
            failure.exit_code()
        }
        Err(_) => ExitCode::from(Code::Failed as u8),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let progress = Progress { quiet: cli.quiet };
    match &cli.command {
        Command::Upscale(args) => upscale::run(args, progress),
        #[cfg(unix)]
        Command::Video(args) => video::run(args, progress),
        Command::Live(args) => live::run(args, cli.quiet),
        Command::Plan(args) => plan::run(args),
        Command::Models(args) => models::run(args),
        Command::Eval(args) => eval::run(args, progress),
        Command::Bench(args) => bench::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Generate { folder } => generate::run(folder),
    }
}
