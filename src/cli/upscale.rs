//! `bifocal upscale`.

use super::args::{Format, Upscale};
use super::failure::Failure;
use super::picture::{Summary, beside, inside, picture};
use super::progress::Progress;
use super::session::Session;
use super::{folder, interrupt, print};
use crate::io::{Location, Output, is_finished};

pub(super) fn run(args: &Upscale, progress: Progress) -> Result<(), Failure> {
    let (input, output) = args.places();
    let input = Location::from(input.as_os_str());
    let output = output.map(|output| Location::from(output.as_os_str()));
    if args.format == Format::Json && output == Some(Location::Standard) {
        return Err(Failure::usage("--format json and output - both need standard output; name an output file"));
    }
    let is_folder = matches!(&input, Location::File(path) if path.is_dir());
    for (option, given) in [("--recursive", args.recursive), ("--on-error", args.on_error.is_some())] {
        if given && !is_folder {
            return Err(Failure::usage(format!("{option} is for folders, and {input} is none")));
        }
    }
    if args.resume && (input == Location::Standard || output == Some(Location::Standard)) {
        return Err(Failure::usage("--resume needs files: a pipe is never finished before it begins"));
    }
    interrupt::remove_files_on_signals()?;
    match &input {
        Location::File(path) if is_folder => folder::run(args, path, output.as_ref(), progress),
        _ => single(args, &input, output, progress),
    }
}

fn single(args: &Upscale, input: &Location, output: Option<Location>, progress: Progress) -> Result<(), Failure> {
    refuse_terminals(input, output.as_ref())?;
    let given = output.map(|output| into_folder(args, input, output)).transpose()?;
    let mut session = Session::open(&args.engine)?;
    let location = match (given, input) {
        (Some(location), _) => location,
        (None, Location::File(path)) => Location::File(beside(path, session.scale(), args.format_out)?),
        (None, Location::Standard) => {
            return Err(Failure::usage("a pipe needs the name of an output, or - for another"));
        }
    };
    let (mut images, mut finished) = (Vec::new(), Vec::new());
    match (input, &location) {
        (Location::File(from), Location::File(to)) if args.resume && is_finished(from, to, session.scale()) => {
            log::info!("{}: finished before", to.display());
            finished.push(location.to_string());
        }
        _ => {
            let (name, output) = (location.to_string(), Output::new(location, args.format_out)?);
            images.push(picture(&mut session, input, &output, name, |rows| progress.bar(&input.to_string(), rows))?);
        }
    }
    if args.format == Format::Json {
        let (model, scale) = (session.model.metadata().name.as_str(), session.scale());
        print::json(&Summary { model, scale, images, finished, failed: Vec::new() })?;
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
fn refuse_terminals(input: &Location, output: Option<&Location>) -> Result<(), Failure> {
    use std::io::IsTerminal;
    if *input == Location::Standard && std::io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is a terminal, not a picture; redirect a file or name one"));
    }
    if output == Some(&Location::Standard) && std::io::stdout().is_terminal() {
        return Err(Failure::usage("a picture is not written to a terminal; redirect it or name a file"));
    }
    Ok(())
}
