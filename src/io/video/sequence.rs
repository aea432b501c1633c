//! Numbered pictures, as `frames/%05d.png`.

use std::path::{Path, PathBuf};

use super::{Arrival, Clip, FrameSink, FrameSource, Gap, Shown, Troubles};
use crate::frame::{FrameFormat, Layout, PixelFormat};
use crate::geom::Size;
use crate::io::error::{CreateError, OpenError, ReadError, WriteError};
use crate::io::image::{Metadata, Output, Picture, is_colour, is_finished, open};
use crate::io::location::{Location, same_file, unescaped};

/// A path with a number in it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) struct Pattern {
    before: String,
    digits: usize,
    after: String,
}

impl Pattern {
    /// `%d` or `%05d` in the name of the file; `None` without it. In the names of folders `%` is a letter like others, and
    /// in that of the file where it is written `%25`.
    pub(in crate::io) fn of(path: &str) -> Option<Self> {
        let name = path.rfind('/').map_or(0, |slash| slash + 1);
        let escape = |rest: &str| ["%25", "%3F", "%3f"].iter().any(|escape| rest.starts_with(escape));
        let marks = |text: &str| text.match_indices('%').map(|(at, _)| at).find(|at| !escape(&text[*at..]));
        let (before, rest) = path.split_at(name + marks(&path[name..])?);
        let (digits, after) = rest.strip_prefix('%')?.split_once('d')?;
        let digits = if digits.is_empty() { 0 } else { digits.strip_prefix('0')?.parse().ok().filter(|n| *n <= 20)? };
        marks(after).is_none().then(|| Self { before: unescaped(before), digits, after: unescaped(after) })
    }

    pub(in crate::io) fn path(&self, number: u64) -> PathBuf {
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

    /// Is one of the pictures from number `first` on of colour?
    fn any_colour(&self, first: u64) -> bool {
        let mut numbers = (first..).take_while(|number| self.path(*number).exists());
        let found = numbers.any(|number| is_colour(&self.path(number)));
        // Behind a hole, only if somebody goes on there.
        found
    }
}

/// Which pictures of a sequence are passed over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::io) struct LeaveOut {
    /// Those before the first that can be opened.
    pub(in crate::io) unreadable: bool,
    /// Those whose results, so many times as large, are finished.
    pub(in crate::io) finished: Option<(Pattern, usize)>,
}

/// Pictures of one size, by number until none follows.
pub(in crate::io) struct Sequence {
    pattern: Pattern,
    next: u64,
    clip: Clip,
    format: PixelFormat,
    /// The first picture, opened for its size.
    opened: Option<Picture>,
    troubles: Troubles,
    /// Where the results go, and how large they become, if finished ones are left out.
    finished: Option<(Pattern, usize)>,
}

impl Sequence {
    /// Opens the first picture; `clip` tells all but size and layout.
    pub(in crate::io) fn open(
        pattern: Pattern,
        start: Option<u64>,
        mut clip: Clip,
        leave: LeaveOut,
    ) -> Result<Self, OpenError> {
        let file = pattern.path(0).with_file_name("").join(format!("*{}", pattern.after)).display().to_string();
        let none = || OpenError::Corrupt { file, reason: "there is no picture with a number".into() };
        let mut next = start.or_else(|| pattern.next(0)).ok_or_else(none)?;
        let mut troubles = Troubles::default();
        let picture = loop {
            match open(&Location::File(pattern.path(next))) {
                Ok(picture) => break picture,
                Err(error) => {
                    let follows = pattern.next(next + 1).filter(|_| leave.unreadable);
                    let Some(number) = follows else { return Err(error) };
                    log::warn!("{error}; passed over");
                    match pattern.path(next).exists() {
                        true => {
                            (troubles.damaged, troubles.missed) =
                                (troubles.damaged + 1, troubles.missed + number - next - 1)
                        }
                        false => troubles.missed += number - next,
                    }
                    next = number;
                }
            }
        };
        let colour = picture.format().has_colour() || pattern.any_colour(next + 1);
        let (format, layout) =
            if colour { (PixelFormat::Rgb8, Layout::Rgb) } else { (PixelFormat::Gray8, Layout::Gray) };
        clip.format = FrameFormat::picture(picture.size(), layout);
        Ok(Self { pattern, next, clip, format, opened: Some(picture), troubles, finished: leave.finished })
    }

    fn next_picture(&mut self) -> Result<Option<Picture>, ReadError> {
        if let Some((results, scale)) = &self.finished {
            let done = |number: &u64| is_finished(&self.pattern.path(*number), &results.path(*number), *scale);
            let finished = (self.next..).take_while(done).count() as u64;
            if finished > 0 {
                log::info!("{} results from {} on are finished", finished, results.path(self.next).display());
                self.next += finished;
                self.opened = None;
            }
        }
        if let Some(picture) = self.opened.take() {
            return Ok(Some(picture));
        }
        let path = self.pattern.path(self.next);
        if !path.exists() {
            // The end is where no number follows; a hole would be a jump that nobody hears of.
            return match self.pattern.next(self.next) {
                None => Ok(None),
                Some(number) => Err(self.bad(format!("this picture is missing, and number {number} follows"))),
            };
        }
        let picture = open(&Location::File(path.clone())).map_err(|error| match error {
            OpenError::Unavailable { file, source: Some(source), .. } => ReadError::Io { file, source },
            // The message begins with the file already.
            other => self.bad(other.to_string().trim_start_matches(&format!("{}: ", path.display())).to_string()),
        })?;
        if let Some(animation) = picture.metadata().animation {
            return Err(
                self.bad(format!("an animation of {} pictures, where single ones are expected", animation.frames))
            );
        }
        let (size, first) = (picture.size(), self.clip.format.size);
        if size != first {
            return Err(self.bad(format!("this picture is {size}, and those before are {first}")));
        }
        if picture.format().has_colour() && self.format == PixelFormat::Gray8 {
            // It was not there, or not to be read, when the run began.
            return Err(self.bad("a picture of colour follows grey ones of a video that has begun as grey".into()));
        }
        Ok(Some(picture))
    }

    /// What is wrong with the next picture.
    fn bad(&self, reason: String) -> ReadError {
        ReadError::Corrupt { file: self.pattern.path(self.next).display().to_string(), reason }
    }
}

/// Copies a row into one of grey or RGB, to which its pixels are reduced or spread; `false` if one of them can be seen
/// through. Grey among colour is colour without any.
fn lay(row: &[u8], from: PixelFormat, to: &mut [u8], format: PixelFormat) -> bool {
    let (channels, colours) = (from.channels(), if from.has_colour() { 3 } else { 1 });
    for (pixel, to) in row.chunks_exact(channels).zip(to.chunks_exact_mut(format.channels())) {
        match colours == to.len() {
            true => to.copy_from_slice(&pixel[..colours]),
            false => to.fill(pixel[0]),
        }
    }
    !from.has_alpha() || row.chunks_exact(channels).all(|pixel| pixel[channels - 1] == 255)
}

impl FrameSource for Sequence {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let Some(mut picture) = self.next_picture()? else { return Ok(Arrival::End) };
        let (format, bytes) = (picture.format(), self.clip.format.size.width * self.format.channels());
        let mut rows = frame.chunks_exact_mut(bytes);
        while let Some(row) = picture.next_row()? {
            if rows.next().is_some_and(|to| !lay(row, format, to, self.format)) {
                let reason = "the picture has transparency, which video cannot carry; `bifocal upscale` keeps it";
                return Err(self.bad(reason.into()));
            }
        }
        self.next += 1;
        Ok(Arrival::Frame(None))
    }

    fn number(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    fn pass_over(&mut self) -> Option<Gap> {
        let first = self.next;
        if self.pattern.path(first).exists() {
            self.troubles.damaged += 1;
            self.next += 1;
        } else {
            self.next = self.pattern.next(first)?;
            self.troubles.missed += self.next - first;
        }
        Some(Gap { first: Some(first), frames: self.next - first })
    }

    fn troubles(&self) -> Troubles {
        self.troubles
    }
}

/// Writes a picture for each frame.
pub(in crate::io) struct SequenceSink {
    pattern: Pattern,
    next: u64,
    /// What the first is to be called, where that is not what the source calls it.
    start: Option<u64>,
    /// From the numbers of the source to those of the pictures.
    shift: Option<u64>,
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
        Ok(Self { pattern, next, start, shift: None, size: format.size, format: pixels })
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

    fn set_number(&mut self, number: u64) {
        let start = self.start.unwrap_or(number);
        self.next = number.wrapping_add(*self.shift.get_or_insert(start.wrapping_sub(number)));
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
        assert_eq!(path("a/100%25 %3F%03d%253F.png").as_deref(), Some("a/100% ?007%3F.png"));
        for wrong in ["100%25d.png", "a.png", "%", "%5d.png", "%s.png", "%05d/a.png", "%0999d.png", "%d%d.png"] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }
}
