//! `bifocal upscale`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use serde::Serialize;

use super::args::{Format, Upscale};
use super::failure::Failure;
use super::progress::Progress;
use super::session::Session;
use super::{folder, print};
use crate::engine::Engine;
use crate::io::{self, Output, Place, Sink, Source};

/// What is printed with `--format json`.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    pub(super) model: &'a str,
    pub(super) scale: usize,
    pub(super) images: Vec<Done>,
    pub(super) failed: Vec<Failed>,
}

/// A picture that was written; size of the output in pixels.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    input: String,
    output: String,
    width: usize,
    height: usize,
    seconds: f64,
}

/// A picture of a folder that was not.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    pub(super) input: String,
    pub(super) error: String,
}

pub(super) fn run(args: &Upscale, progress: Progress) -> Result<(), Failure> {
    let (input, output) = args.places();
    let (input, output) = (Place::from(input.as_os_str()), Place::from(output.as_os_str()));
    if args.format == Format::Json && output == Place::Pipe {
        return Err(Failure::usage("--format json and output - both need standard output; name an output file"));
    }
    match &input {
        Place::File(path) if path.is_dir() => folder::run(args, path, &output, progress),
        _ => single(args, &input, output, progress),
    }
}

fn single(args: &Upscale, input: &Place, output: Place, progress: Progress) -> Result<(), Failure> {
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
fn into_folder(args: &Upscale, input: &Place, output: Place) -> Result<Place, Failure> {
    match (input, output) {
        (Place::File(from), Place::File(to)) if to.is_dir() => Ok(Place::File(inside(&to, from, args))),
        (Place::Pipe, Place::File(to)) if to.is_dir() => {
            Err(Failure::usage(format!("{}: this is a folder; a pipe needs the name of a file", to.display())))
        }
        (_, output) => Ok(output),
    }
}

/// Where the upscaled `picture` goes inside `folder`.
pub(super) fn inside(folder: &Path, picture: &Path, args: &Upscale) -> PathBuf {
    let mut path = folder.join(picture.file_name().unwrap_or_default());
    if let Some(encoding) = args.format_out {
        path.set_extension(encoding.extension());
    }
    path
}

/// A person at a terminal who gets or owes a picture made a mistake.
fn refuse_terminals(input: &Place, output: &Place) -> Result<(), Failure> {
    use std::io::IsTerminal;
    if *input == Place::Pipe && std::io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is a terminal, not a picture; redirect a file or name one"));
    }
    if *output == Place::Pipe && std::io::stdout().is_terminal() {
        return Err(Failure::usage("a picture is not written to a terminal; redirect it or name a file"));
    }
    Ok(())
}

/// Upscales one picture.
pub(super) fn picture(
    session: &mut Session<'_>,
    input: &Place,
    output: &Output,
    output_name: String,
    bar: impl FnOnce(usize) -> ProgressBar,
) -> Result<Done, Failure> {
    let begin = Instant::now();
    let mut source = io::open(input)?;
    let (size, format) = (source.size(), source.format());
    let scaled = size.scaled(session.scale());
    output.check(input, scaled, format)?;
    let engine =
        session.engine(size, format).map_err(|failure| Failure::new(failure.code, format!("{input}: {failure}")))?;
    let mut sink = output.create(scaled, format, source.metadata())?;
    let bar = bar(size.height);
    let streamed = stream(engine, &mut *source, &mut *sink, &bar);
    bar.finish_and_clear();
    if streamed.is_err() {
        engine.reset();
    }
    streamed?;
    sink.finish()?;
    let seconds = begin.elapsed().as_secs_f64();
    log::info!("{input}: {size} to {scaled} in {seconds:.2} s");
    Ok(Done { input: input.to_string(), output: output_name, width: scaled.width, height: scaled.height, seconds })
}

fn stream(engine: &mut Engine, source: &mut dyn Source, sink: &mut dyn Sink, bar: &ProgressBar) -> Result<(), Failure> {
    while let Some(row) = source.next_row()? {
        engine.push_row(row, |out| sink.write_row(out))?;
        bar.inc(1);
    }
    Ok(())
}
