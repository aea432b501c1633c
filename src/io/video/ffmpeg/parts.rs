//! What there is of an output until it is complete: a folder beside it with parts of 250 frames, each encoded by itself, and
//! a note of what they were made of and how.
//!
//! A part has its name once it is whole and on the disk, so that a run that was killed loses the part it was at and nothing
//! else. Every run makes the same parts, hence a run that goes on makes what one at once does.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::nut::headers;

/// Frames of a part: as many as encoders put between two pictures to begin at.
pub(super) const FRAMES: u64 = 250;
const NOTE: &str = "made-of";
const EXTENSION: &str = "nut";
/// The last part, which may be shorter; it is made again by whoever goes on.
const LAST: &str = "last.nut";

/// The folder of parts, locked.
pub struct Parts {
    folder: PathBuf,
    /// Holds the lock.
    _note: File,
    /// Parts that are whole.
    whole: u64,
    has_last: bool,
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
        let path = folder.join(NOTE);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(PartsError::Busy(folder));
        }
        let mut before = String::new();
        file.read_to_string(&mut before).map_err(failed)?;
        let whole = (0..).take_while(|number| folder.join(part(*number)).is_file()).count() as u64;
        if whole > 0 && !resume {
            return Err(PartsError::Unfinished(folder, whole * FRAMES));
        }
        if whole > 0 && before != note {
            return Err(PartsError::Other(folder));
        }
        let parts = Self { whole, _note: file, has_last: false, folder };
        // What an earlier run has not finished; its encoder may still be at it, and has a name of its own for it.
        for entry in fs::read_dir(&parts.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let kept = name == NOTE || (0..whole).any(|number| name == *part(number));
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

    /// Where a part is written until it is whole.
    pub(super) fn unfinished(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:06}.{}.unfinished", std::process::id()))
    }

    /// Number of the part that comes next.
    pub(super) fn next(&self) -> u64 {
        self.whole
    }

    /// Gives the part that was written at `from` its name.
    pub(super) fn add(&mut self, from: &Path, frames: u64) -> io::Result<()> {
        File::open(from)?.sync_all()?;
        let is_last = frames < FRAMES;
        fs::rename(from, self.folder.join(if is_last { LAST.into() } else { part(self.whole) }))?;
        File::open(&self.folder)?.sync_all()?;
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
        fs::remove_dir_all(&self.folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn part(number: u64) -> String {
    format!("{number:06}.{EXTENSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_gone_on_with_or_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mkv");
        let mut parts = Parts::open(&output, "a", false).unwrap();
        assert!(matches!(Parts::open(&output, "a", true), Err(PartsError::Busy(_))));
        for frames in [FRAMES, FRAMES, 3] {
            let at = parts.unfinished(parts.next());
            fs::write(&at, "x").unwrap();
            parts.add(&at, frames).unwrap();
        }
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
}
