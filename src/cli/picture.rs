//! One picture upscaled, and what is printed of it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use serde::Serialize;

use super::args::Upscale;
use super::failure::Failure;
use super::session::Session;
use crate::engine::Engine;
use crate::geom::Size;
use crate::io::{self, Location, Output, Sink, Source};

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
    /// Multiply-adds over those of both branches in every window.
    macs_share: f64,
}

/// A picture of a folder that was not.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    pub(super) input: String,
    pub(super) error: String,
}

/// Where the upscaled `picture` goes inside `folder`.
pub(super) fn inside(folder: &Path, picture: &Path, args: &Upscale) -> PathBuf {
    let mut path = folder.join(picture.file_name().unwrap_or_default());
    if let Some(encoding) = args.format_out {
        path.set_extension(encoding.extension());
    }
    path
}

/// Upscales one picture.
pub(super) fn picture(
    session: &mut Session<'_>,
    input: &Location,
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
    let (seconds, macs_share) = (begin.elapsed().as_secs_f64(), engine.macs_share());
    log::info!("{input}: {size} to {scaled} in {seconds:.2} s");
    let Size { width, height } = scaled;
    Ok(Done { input: input.to_string(), output: output_name, width, height, seconds, macs_share })
}

fn stream(engine: &mut Engine, source: &mut dyn Source, sink: &mut dyn Sink, bar: &ProgressBar) -> Result<(), Failure> {
    while let Some(row) = source.next_row()? {
        engine.push_row(row, |out| sink.write_row(out))?;
        bar.inc(1);
    }
    Ok(())
}
