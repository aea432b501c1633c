//! One picture upscaled, and what is printed of it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use serde::Serialize;

use super::args::Upscale;
use super::failure::Failure;
use super::session::Session;
use crate::engine::Engine;
use crate::frame::{Deep, Weigh};
use crate::geom::Size;
use crate::io::{self, Encoding, Location, Output, Sink, Source};

/// What is printed with `--format json`.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    pub(super) model: &'a str,
    pub(super) scale: usize,
    pub(super) images: Vec<Done>,
    /// Outputs that an earlier run has finished.
    pub(super) finished: Vec<String>,
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
    // Where nothing is said, in its own format if that can be written.
    let unwritten =
        Encoding::of_path(picture).is_none() && picture.extension().is_some_and(|e| e.eq_ignore_ascii_case("jxl"));
    if let Some(encoding) = args.format_out.or(unwritten.then_some(Encoding::Png)) {
        path.set_extension(encoding.extension());
    }
    path
}

/// Where a picture or folder goes that nobody has named an output for: beside it, with the scale in its name, and in its own
/// format where that can be written.
pub(super) fn beside(input: &Path, scale: usize, format: Option<Encoding>) -> Result<PathBuf, Failure> {
    let missing =
        || Failure::usage(format!("{}: this has no name to make another of; name an output", input.display()));
    if input.is_dir() {
        let mut name = input.file_name().ok_or_else(missing)?.to_os_string();
        name.push(format!("-x{scale}"));
        return Ok(input.with_file_name(name));
    }
    let mut name = input.file_stem().ok_or_else(missing)?.to_os_string();
    name.push(format!("-x{scale}."));
    match (format, Encoding::of_path(input), input.extension()) {
        (None, Some(_), Some(extension)) => name.push(extension),
        (format, ..) => name.push(format.unwrap_or(Encoding::Png).extension()),
    }
    Ok(input.with_file_name(name))
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
    let scale = session.scale();
    let scaled = size.scaled(scale);
    output.check(input, scaled, format)?;
    session.share_budget(source.held_bytes());
    let engine =
        session.engine(size, format).map_err(|failure| Failure::new(failure.code, format!("{input}: {failure}")))?;
    let mut sink = output.create(scaled, format, &source.metadata().scaled(scale))?;
    let frames = source.metadata().animation.map_or(1, |animation| animation.frames as usize);
    let bar = bar(size.height * frames);
    let streamed = stream(engine, &mut *source, &mut *sink, scale, &bar);
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

/// All pictures of the source, which is one unless it is an animation.
fn stream(
    engine: &mut Engine,
    source: &mut dyn Source,
    sink: &mut dyn Sink,
    scale: usize,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let Size { width, height } = source.size();
    let (channels, has_alpha) = (source.format().channels(), source.format().has_alpha());
    let mut seen = Vec::new();
    loop {
        sink.begin_frame(source.delay());
        let mut deep = sink.is_deep().then(|| Deep::new(channels, width, height, scale));
        let mut weigh = (has_alpha && deep.is_none()).then(|| Weigh::<u8>::new(channels, width, height, scale));
        let mut weigh_deep = (has_alpha && deep.is_some()).then(|| Weigh::<u16>::new(channels, width, height, scale));
        while let Some(row) = source.next_row()? {
            match (&mut deep, &mut weigh, &mut weigh_deep) {
                (None, None, _) => engine.push_row(row, |_, out| sink.write_row(out))?,
                (None, Some(weigh), _) => {
                    weigh.push(row);
                    engine.push_row(row, |_, out| weigh.row(out, |out| sink.write_row(out)))?;
                }
                (Some(deep), _, weigh) => {
                    // The row is lent twice: what the engine sees, and what it stands for.
                    seen.clear();
                    seen.extend_from_slice(row);
                    deep.push(source.deep_row(), &seen);
                    if let Some(weigh) = weigh {
                        weigh.push(source.deep_row());
                    }
                    engine.push_row(&seen, |_, out| {
                        deep.row(out, |out| match weigh {
                            None => sink.write_deep_row(out),
                            Some(weigh) => weigh.row(out, |out| sink.write_deep_row(out)),
                        })
                    })?;
                }
            }
            bar.inc(1);
        }
        if !source.next_frame()? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_outputs() {
        let name = |input: &str, format| beside(Path::new(input), 2, format).map(|p| p.display().to_string()).ok();
        assert_eq!(name("a/photo.JPG", None).as_deref(), Some("a/photo-x2.JPG"));
        assert_eq!(name("photo.v1.heic", None).as_deref(), Some("photo.v1-x2.png"));
        assert_eq!(name("photo", Some(Encoding::WebP)).as_deref(), Some("photo-x2.webp"));
        assert_eq!(name("photo.png", Some(Encoding::Tiff)).as_deref(), Some("photo-x2.tif"));
        assert_eq!(name("src/", None).as_deref(), Some("src-x2"));
        assert_eq!(name("..", None), None);
    }
}
