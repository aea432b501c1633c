//! Numbered pictures, as `frames/%05d.png`.

use std::path::{Path, PathBuf};

use super::{Arrival, Clip, FrameSink, FrameSource, Shown};
use crate::frame::{FrameFormat, Layout, PixelFormat};
use crate::geom::Size;
use crate::io::error::{CreateError, OpenError, ReadError, WriteError};
use crate::io::image::{Metadata, Output, Picture, open};
use crate::io::location::{Location, same_file};

/// A path with a number in it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) struct Pattern {
    before: String,
    digits: usize,
    after: String,
}

impl Pattern {
    /// `%d` or `%05d` in the name of the file; `None` without it. In the names of folders `%` is a letter like others.
    pub(in crate::io) fn of(path: &str) -> Option<Self> {
        let name = path.rfind('/').map_or(0, |slash| slash + 1);
        let (before, rest) = path.split_at(name + path[name..].find('%')?);
        let rest = rest.strip_prefix('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = if digits.is_empty() { 0 } else { digits.strip_prefix('0')?.parse().ok().filter(|n| *n <= 20)? };
        let in_name = !after.contains('%');
        in_name.then(|| Self { before: before.to_string(), digits, after: after.to_string() })
    }

    fn path(&self, number: u64) -> PathBuf {
        let Self { before, digits, after } = self;
        PathBuf::from(format!("{before}{number:0digits$}{after}"))
    }

    /// Could a name be of both patterns? Then one would overwrite the pictures of the other.
    pub(in crate::io) fn meets(&self, other: &Self) -> bool {
        same_file(&self.folder(), &other.folder()) && self.name() == other.name() && self.after == other.after
    }

    /// What stands before the number in the name of the file.
    fn name(&self) -> &str {
        self.before.rsplit_once('/').map_or(self.before.as_str(), |(_, name)| name)
    }

    pub(in crate::io) fn folder(&self) -> PathBuf {
        let folder = self.path(0).parent().map(Path::to_path_buf).unwrap_or_default();
        if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }
    }

    /// The lowest number, from `least` on, that there is a file for.
    fn next(&self, least: u64) -> Option<u64> {
        let start = self.name();
        let names =
            std::fs::read_dir(self.folder()).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let numbers = names.filter_map(|name| name.strip_prefix(start)?.strip_suffix(&self.after)?.parse().ok());
        numbers.filter(|number| *number >= least && self.path(*number).is_file()).min()
    }
}

/// Pictures of one size, by number until none follows.
pub(in crate::io) struct Sequence {
    pattern: Pattern,
    next: u64,
    clip: Clip,
    format: PixelFormat,
    /// The first picture, opened for its size.
    opened: Option<Picture>,
}

impl Sequence {
    /// Opens the first picture; `clip` tells all but size and layout.
    pub(in crate::io) fn open(pattern: Pattern, start: Option<u64>, mut clip: Clip) -> Result<Self, OpenError> {
        let file = pattern.path(0).with_file_name("").join(format!("*{}", pattern.after)).display().to_string();
        let none = || OpenError::Corrupt { file, reason: "there is no picture with a number".into() };
        let next = start.or_else(|| pattern.next(0)).ok_or_else(none)?;
        let path = pattern.path(next);
        let picture = open(&Location::File(path.clone()))?;
        let format = picture.format();
        if format.has_alpha() {
            let reason = "the picture has transparency, which video cannot carry; `bifocal upscale` keeps it".into();
            return Err(OpenError::Corrupt { file: path.display().to_string(), reason });
        }
        let layout = if format == PixelFormat::Gray8 { Layout::Gray } else { Layout::Rgb };
        clip.format = FrameFormat::picture(picture.size(), layout);
        Ok(Self { pattern, next, clip, format, opened: Some(picture) })
    }

    fn next_picture(&mut self) -> Result<Option<Picture>, ReadError> {
        if let Some(picture) = self.opened.take() {
            return Ok(Some(picture));
        }
        let path = self.pattern.path(self.next);
        let bad = |reason: String| ReadError::Corrupt { file: path.display().to_string(), reason };
        if !path.exists() {
            // The end is where no number follows; a hole would be a jump that nobody hears of.
            return match self.pattern.next(self.next) {
                None => Ok(None),
                Some(number) => Err(bad(format!("this picture is missing, and number {number} follows"))),
            };
        }
        let picture = open(&Location::File(path.clone())).map_err(|error| match error {
            OpenError::Unavailable { file, source: Some(source), .. } => ReadError::Io { file, source },
            // The message begins with the file already.
            other => bad(other.to_string().trim_start_matches(&format!("{}: ", path.display())).to_string()),
        })?;
        let (size, format) = (picture.size(), picture.format());
        // Grey among pictures of colour is colour without any.
        let fits = format == self.format || (format, self.format) == (PixelFormat::Gray8, PixelFormat::Rgb8);
        if size != self.clip.format.size || !fits {
            let first = self.clip.format.size;
            return Err(bad(format!("{size} {format:?} follows pictures of {first} {:?}", self.format)));
        }
        Ok(Some(picture))
    }
}

impl FrameSource for Sequence {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let Some(mut picture) = self.next_picture()? else { return Ok(Arrival::End) };
        let bytes = self.clip.format.size.width * self.format.channels();
        let spread = picture.format() != self.format;
        let mut rows = frame.chunks_exact_mut(bytes);
        while let Some(row) = picture.next_row()? {
            match rows.next() {
                Some(to) if spread => to.chunks_exact_mut(3).zip(row).for_each(|(pixel, grey)| pixel.fill(*grey)),
                Some(to) => to.copy_from_slice(row),
                None => {}
            }
        }
        self.next += 1;
        Ok(Arrival::Frame(None))
    }
}

/// Writes a picture for each frame.
pub(in crate::io) struct SequenceSink {
    pattern: Pattern,
    next: u64,
    size: Size,
    format: PixelFormat,
}

impl SequenceSink {
    /// For frames of RGB or grey; makes the folder.
    pub(in crate::io) fn create(
        pattern: Pattern,
        start: Option<u64>,
        format: &FrameFormat,
    ) -> Result<Self, CreateError> {
        let folder = pattern.folder();
        let fail = |source| CreateError::Io { file: folder.display().to_string(), source };
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let next = start.unwrap_or(1);
        let location = Location::File(pattern.path(next));
        let pixels = if format.layout == Layout::Gray { PixelFormat::Gray8 } else { PixelFormat::Rgb8 };
        Output::new(location, None)?.check(&Location::Standard, format.size, pixels)?;
        Ok(Self { pattern, next, size: format.size, format: pixels })
    }
}

impl FrameSink for SequenceSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        let path = self.pattern.path(self.next);
        let output = Output::new(Location::File(path), None)
            .and_then(|o| o.create(self.size, self.format, &Metadata::default()));
        let mut sink = output.map_err(|error| match error {
            CreateError::Io { file, source } => WriteError::Io { file, source },
            other => {
                WriteError::Encode { file: self.pattern.folder().display().to_string(), reason: other.to_string() }
            }
        })?;
        for row in frame.chunks_exact(self.size.width * self.format.channels()) {
            sink.write_row(row)?;
        }
        self.next += 1;
        sink.finish().map(|()| Shown::Now)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let path = |pattern: &str| Pattern::of(pattern).map(|p| p.path(7).display().to_string());
        assert_eq!(path("a/%05d.png").as_deref(), Some("a/00007.png"));
        assert_eq!(path("a/f%d.png").as_deref(), Some("a/f7.png"));
        assert_eq!(path("50% of/%d%/f%03d.png").as_deref(), Some("50% of/%d%/f007.png"));
        for wrong in ["a.png", "%", "%5d.png", "%s.png", "%05d/a.png", "%0999d.png", "%d%d.png"] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }
}
