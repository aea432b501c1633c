//! `bifocal upscale`.

use super::args::{Format, Upscale};
use super::failure::Failure;
use super::picture::{Summary, inside, picture};
use super::progress::Progress;
use super::session::Session;
use super::{folder, interrupt, print};
use crate::io::{Location, Output};

pub(super) fn run(args: &Upscale, progress: Progress) -> Result<(), Failure> {
    let (input, output) = args.places();
    let (input, output) = (Location::from(input.as_os_str()), Location::from(output.as_os_str()));
    if args.format == Format::Json && output == Location::Standard {
        return Err(Failure::usage("--format json and output - both need standard output; name an output file"));
    }
    interrupt::remove_files_on_signals()?;
    match &input {
        Location::File(path) if path.is_dir() => folder::run(args, path, &output, progress),
        _ => single(args, &input, output, progress),
    }
}

fn single(args: &Upscale, input: &Location, output: Location, progress: Progress) -> Result<(), Failure> {
    refuse_terminals(input, &output)?;
    let output = into_folder(args, input, output)?;
    let output_name = output.to_string();
    let output = Output::new(output, args.format_out)?;
    let mut session = Session::open(&args.engine)?;
    let done = picture(&mut session, input, &output, output_name, |rows| progress.bar(&input.to_string(), rows))?;
    if args.format == Format::Json {
        let (model, scale) = (session.model.metadata().name.as_str(), session.scale());
        print::json(&Summary { model, scale, images: vec![done], failed: Vec::new() })?;
    }
    Ok(())
}

/// A picture written to an existing folder keeps its name, as `cp` does it.
fn into_folder(args: &Upscale, input: &Location, output: Location) -> Result<Location, Failure> {
    match (input, output) {
        (Location::File(from), Location::File(to)) if to.is_dir() => Ok(Location::File(inside(&to, from, args))),
        (Location::Standard, Location::File(to)) if to.is_dir() => {
            Err(Failure::usage(format!("{}: this is a folder; a pipe needs the name of a file", to.display())))
        }
        (_, output) => Ok(output),
    }
}

/// A person at a terminal who gets or owes a picture made a mistake.
fn refuse_terminals(input: &Location, output: &Location) -> Result<(), Failure> {
    use std::io::IsTerminal;
    if *input == Location::Standard && std::io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is a terminal, not a picture; redirect a file or name one"));
    }
    if *output == Location::Standard && std::io::stdout().is_terminal() {
        return Err(Failure::usage("a picture is not written to a terminal; redirect it or name a file"));
    }
    Ok(())
}
