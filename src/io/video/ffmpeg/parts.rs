//! What there is of an output until it is complete: a folder beside it with parts of 250 frames, each encoded by itself, and
//! a note of what they were made of and how.
//!
//! A part has its name once it is whole and on the disk, so that a run that was killed loses the part it was at and nothing
//! else. Every run makes the same parts, hence a run that goes on makes what one at once does.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::nut::{Contents, Place, TimeBase, contents, headers};
use super::probe::Movie;

/// Frames of a part: as many as encoders put between two pictures to begin at.
pub(super) const FRAMES: u64 = 250;
const NOTE: &str = "made-of";
const EXTENSION: &str = "nut";
/// The last part, which may be shorter; it is made again by whoever goes on.
const LAST: &str = "last.nut";
/// By what an output is known that has what a run had done which was ended early.
const EARLY: &str = "early";

/// The folder of parts, locked.
pub struct Parts {
    folder: PathBuf,
    /// Holds the lock.
    _note: File,
    /// Parts that are whole.
    whole: u64,
    has_last: bool,
    ends: Option<Ends>,
}

/// Frames of all parts by which it is known where they end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) time_base: TimeBase,
    /// The one that is stored last.
    pub(super) stored: Place,
    /// The one that is shown last.
    pub(super) shown: Place,
}

impl Ends {
    /// Where parts end the last of which has this, `before` frames before it.
    fn of(last: &Contents, before: u64) -> Option<Self> {
        let behind = |place: Place| Place { number: before + place.number, ..place };
        let (stored, shown) = last.ends?;
        Some(Self { time_base: last.time_base, stored: behind(stored), shown: behind(shown) })
    }
}

/// Why parts cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// Another run writes them.
    #[error("{0}: another run is writing this")]
    Busy(PathBuf),
    /// There are some, and nobody said what is to become of them.
    #[error("{0}: an unfinished run has left {1} frames here; --resume goes on, or remove the folder to begin anew")]
    Unfinished(PathBuf, u64),
    /// There are some of something else.
    #[error("{0}: what is here was made of another file or with other options; remove the folder to begin anew")]
    Other(PathBuf),
    /// There is a folder of that name which holds something of somebody's.
    #[error("{0}: parts of the output would go here, but it holds {1}; choose another output, or move that")]
    Foreign(PathBuf, String),
    /// There can be no folder beside this output.
    #[error("{0}: cannot write here: {1}")]
    Place(PathBuf, io::Error),
    /// The system says no.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

impl Parts {
    /// The folder of an output, which is there until that is complete.
    pub fn beside(output: &Path) -> PathBuf {
        let mut name = output.file_name().unwrap_or_default().to_os_string();
        name.push(".parts");
        output.with_file_name(name)
    }

    /// Begins or, with `resume`, goes on. `note` says what they are made of, and how: what differs in it does not fit together.
    ///
    /// # Errors
    ///
    /// When there are others, or the system says no.
    pub fn open(output: &Path, note: &str, resume: bool) -> Result<Self, PartsError> {
        let folder = Self::beside(output);
        let failed = |error| PartsError::Io(folder.clone(), error);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(PartsError::Place(output.to_path_buf(), error));
            }
            _ => {}
        }
        for entry in fs::read_dir(&folder).map_err(failed)?.flatten() {
            if !is_own(&entry.file_name()) {
                return Err(PartsError::Foreign(folder, entry.file_name().to_string_lossy().into_owned()));
            }
        }
        let path = folder.join(NOTE);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(PartsError::Busy(folder));
        }
        let mut before = String::new();
        file.read_to_string(&mut before).map_err(failed)?;
        let (mut whole, mut ends) = (0, None);
        // A disk may have been full, or gone, since.
        while let Some(part) = read(&folder.join(part(whole))).ok().filter(|part| part.frames == FRAMES) {
            ends = Ends::of(&part, whole * FRAMES);
            whole += 1;
        }
        if whole > 0 && !resume {
            return Err(PartsError::Unfinished(folder, whole * FRAMES));
        }
        if whole > 0 && before != note {
            return Err(PartsError::Other(folder));
        }
        let parts = Self { whole, _note: file, has_last: false, ends, folder };
        // What an earlier run has not finished; its encoder may still be at it, and has a name of its own for it.
        for entry in fs::read_dir(&parts.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let kept =
                name == NOTE || name == EARLY && before == note || (0..whole).any(|number| name == *part(number));
            if !kept {
                fs::remove_file(entry.path()).map_err(|error| PartsError::Io(parts.folder.clone(), error))?;
            }
        }
        fs::write(&path, note).map_err(|error| PartsError::Io(parts.folder.clone(), error))?;
        Ok(parts)
    }

    /// Frames in whole parts.
    pub fn frames(&self) -> u64 {
        self.whole * FRAMES
    }

    /// Frames of all parts, of the last too.
    pub fn all_frames(&self) -> u64 {
        self.ends.map_or(0, |ends| ends.stored.number + 1)
    }

    /// The time stamp of the frame that is shown last, in ticks of `movie`.
    pub fn last(&self, movie: &Movie) -> Option<i64> {
        let ends = self.ends?;
        movie.time_base.exactly(ends.shown.pts, ends.time_base).map(|time| time - movie.bias)
    }

    pub(super) fn ends(&self) -> Option<Ends> {
        self.ends
    }

    /// May `output` be replaced by what is not all of it? If there is none, or one that has less of the same.
    pub fn may_replace(&self, output: &Path) -> bool {
        let early = fs::read_to_string(self.folder.join(EARLY)).ok();
        !output.exists() || early.is_some_and(|early| identity(output).is_some_and(|there| early == there))
    }

    /// Notes that `output` is not all of it.
    ///
    /// # Errors
    ///
    /// When the note cannot be written.
    pub fn note_early(&self, output: &Path) -> io::Result<()> {
        fs::write(self.folder.join(EARLY), identity(output).unwrap_or_default())
    }

    /// Where a part is written until it is whole.
    pub(super) fn unfinished(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:06}.{}.unfinished", std::process::id()))
    }

    /// Number of the part that comes next.
    pub(super) fn next(&self) -> u64 {
        self.whole
    }

    /// Gives the part that was written at `from` its name, if it holds as many frames: ffmpeg does not always say that a disk
    /// was full.
    pub(super) fn add(&mut self, from: &Path, frames: u64) -> io::Result<()> {
        File::open(from)?.sync_all()?;
        let not_whole = |reason: String| io::Error::other(format!("it is not whole: {reason}; is the disk full?"));
        let contents = read(from).map_err(|error| not_whole(error.to_string()))?;
        if contents.frames != frames {
            return Err(not_whole(format!("{} of {frames} frames are there", contents.frames)));
        }
        let is_last = frames < FRAMES;
        fs::rename(from, self.folder.join(if is_last { LAST.into() } else { part(self.whole) }))?;
        File::open(&self.folder)?.sync_all()?;
        self.ends = Ends::of(&contents, self.frames()).or(self.ends);
        if is_last {
            self.has_last = true;
        } else {
            self.whole += 1;
        }
        Ok(())
    }

    /// All parts, as one NUT file.
    pub(super) fn copy(&self, to: &mut impl io::Write) -> io::Result<()> {
        let mut first: Option<Vec<u8>> = None;
        let last = self.has_last.then(|| LAST.to_string());
        for name in (0..self.whole).map(part).chain(last) {
            let mut file = io::BufReader::with_capacity(1 << 18, File::open(self.folder.join(&name))?);
            let (headers, begin) = headers(&mut file)?;
            match &first {
                None => {
                    to.write_all(&headers.bytes)?;
                    first = Some(headers.stream);
                }
                Some(stream) if *stream == headers.stream => {}
                Some(_) => return Err(io::Error::other(format!("{name}: encoded otherwise than the parts before it"))),
            }
            to.write_all(&begin)?;
            io::copy(&mut file, to)?;
        }
        Ok(())
    }

    /// Removes them: the output is there, or nothing is.
    pub fn remove(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if is_own(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        fs::remove_dir(&self.folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn part(number: u64) -> String {
    format!("{number:06}.{EXTENSION}")
}

/// Is it the name of something that a run leaves in its folder?
fn is_own(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let numbered = |rest: &str| rest.len() >= 6 && rest.bytes().all(|byte| byte.is_ascii_digit());
    let is_unfinished = || name.ends_with(".unfinished") && name.split('.').next().is_some_and(numbered);
    [NOTE, LAST, EARLY].contains(&&*name) || name.strip_suffix(".nut").is_some_and(numbered) || is_unfinished()
}

/// The frames of a part that is whole to its end.
fn read(path: &Path) -> io::Result<Contents> {
    contents(&mut io::BufReader::with_capacity(1 << 18, File::open(path)?))
}

/// By what a file is known as long as nobody writes it anew.
fn identity(path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok()?;
    Some(format!("{} {:?}", about.len(), about.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::nut::{RawStream, TimeBase, frame_header};
    use super::*;
    use crate::geom::Size;

    /// A part of so many frames of two bytes.
    fn content(frames: u64) -> Vec<u8> {
        let time_base = TimeBase { num: 1, den: 25 };
        let size = Size::new(2, 1);
        let stream = RawStream { size, time_base, aspect: (1, 1), rate: (25, 1), fourcc: *b"Y800" };
        let frame = |n: u64| [frame_header(n as i64, 2), vec![1, 2]].concat();
        [stream.header()].into_iter().chain((0..frames).map(frame)).flatten().collect()
    }

    fn begun(output: &Path, frames: &[u64]) -> Parts {
        let mut parts = Parts::open(output, "a", false).unwrap();
        for &frames in frames {
            let at = parts.unfinished(parts.next());
            fs::write(&at, content(frames)).unwrap();
            parts.add(&at, frames).unwrap();
        }
        parts
    }

    #[test]
    fn parts_are_gone_on_with_or_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mkv");
        let parts = begun(&output, &[FRAMES, FRAMES, 3]);
        assert!(matches!(Parts::open(&output, "a", true), Err(PartsError::Busy(_))));
        assert_eq!(parts.frames(), 2 * FRAMES);
        fs::write(parts.unfinished(2), "y").unwrap();
        drop(parts);
        assert!(matches!(Parts::open(&output, "a", false), Err(PartsError::Unfinished(_, 500))));
        assert!(matches!(Parts::open(&output, "b", true), Err(PartsError::Other(_))));
        let parts = Parts::open(&output, "a", true).unwrap();
        assert_eq!((parts.frames(), fs::read_dir(parts.folder()).unwrap().count()), (2 * FRAMES, 3));
        parts.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn parts_that_are_cut_off_are_made_again() {
        let whole = content(FRAMES).len() as u64;
        for (length, left) in [(whole, 3), (whole - 1, 1), (whole - 40, 1), (20, 1), (0, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let output = folder.path().join("out.mkv");
            let parts = begun(&output, &[FRAMES, FRAMES, FRAMES]);
            let second = parts.folder().join(part(1));
            drop(parts);
            File::options().write(true).open(second).unwrap().set_len(length).unwrap();
            assert_eq!(Parts::open(&output, "a", true).unwrap().frames(), left * FRAMES, "{length}");
        }
        let folder = tempfile::tempdir().unwrap();
        let mut parts = begun(&folder.path().join("out.mkv"), &[]);
        let at = parts.unfinished(0);
        for bytes in [content(FRAMES - 1), content(FRAMES)[..whole as usize - 1].to_vec(), vec![]] {
            fs::write(&at, bytes).unwrap();
            assert!(parts.add(&at, FRAMES).is_err());
        }
        assert_eq!(parts.frames(), 0);
    }

    #[test]
    fn only_less_of_the_same_is_replaced_by_what_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mkv");
        let parts = begun(&output, &[FRAMES, 3]);
        assert!(parts.may_replace(&output));
        fs::write(&output, "somebody's").unwrap();
        assert!(!parts.may_replace(&output));
        fs::write(&output, "early").unwrap();
        parts.note_early(&output).unwrap();
        assert!(parts.may_replace(&output));
        drop(parts);
        let parts = Parts::open(&output, "a", true).unwrap();
        assert!(parts.may_replace(&output));
        fs::write(&output, "somebody's").unwrap();
        assert!(!parts.may_replace(&output));
        parts.remove().unwrap();
    }

    #[test]
    fn the_last_frame_of_all_parts_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mkv");
        let parts = begun(&output, &[FRAMES, FRAMES, 3]);
        let place = |parts: &Parts| parts.ends().map(|ends| (ends.shown.number, ends.shown.pts));
        assert_eq!((place(&parts), parts.all_frames()), (Some((502, 2)), 503));
        drop(parts);
        let parts = Parts::open(&output, "a", true).unwrap();
        assert_eq!((place(&parts), parts.all_frames()), (Some((499, 249)), 500));
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mkv");
        let beside = Parts::beside(&output);
        fs::create_dir(&beside).unwrap();
        for name in ["notes.txt", "1.nut", ".unfinished"] {
            fs::write(beside.join(name), "mine").unwrap();
            for resume in [false, true] {
                assert!(matches!(Parts::open(&output, "a", resume), Err(PartsError::Foreign(..))), "{name}");
            }
            assert_eq!(fs::read_dir(&beside).unwrap().count(), 1);
            fs::remove_file(beside.join(name)).unwrap();
        }
    }
}
