//! Where files go: the one rule for all of them.
//!
//! - A file is written under a temporary name beside its target and renamed once it is complete and on the disk, so
//!   whoever looks, also after a power cut, finds the old file or the new one.
//! - What an existing target allows and whose it is stays so; behind a link, the file is replaced, not the link.
//! - A temporary file is locked while its program lives. Those of programs that ended without removing theirs are
//!   removed by the next run that writes into the folder.
//! - Devices and named pipes are written to, never replaced.
//! - What ends early leaves nothing of a picture, and all whole frames of a recording, whichever side failed.

mod out;
mod partial;
mod target;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::error::WriteError;
use super::location::Location;
use super::output_is_closed;
pub(in crate::io) use out::Out;
use partial::Partial;
pub use partial::{remove_partial_files, remove_partial_files_if_free};

/// A file in the making, or a stream.
pub(in crate::io) struct Destination {
    name: String,
    out: Out,
    partial: Option<Partial>,
}

impl Destination {
    /// Opens standard output, a device or pipe by its name, or a temporary file beside `location`.
    pub(in crate::io) fn open(location: &Location) -> io::Result<Self> {
        match location {
            Location::Standard if output_is_closed() => Err(io::Error::other("it is closed")),
            Location::Standard => {
                Ok(Self { name: "standard output".into(), out: Out::new(io::stdout()), partial: None })
            }
            Location::File(path) => Self::open_path(path),
        }
    }

    fn open_path(path: &Path) -> io::Result<Self> {
        let name = path.display().to_string();
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => Err(io::Error::other("this is a folder")),
            Ok(about) if !about.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                Ok(Self { name, out: Out::new(file), partial: None })
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                let (partial, file) = Partial::begin(target::resolve(path)?)?;
                Ok(Self { name, out: Out::new(file), partial: Some(partial) })
            }
        }
    }

    /// The file under its temporary name, for a program that writes it; nothing where there is none.
    pub(in crate::io) fn path(&self) -> Option<&Path> {
        self.partial.as_ref().map(Partial::path)
    }

    /// Where to write.
    pub(in crate::io) fn out(&self) -> Out {
        self.out.clone()
    }

    /// Writes what is buffered, and gives the file its name.
    pub(in crate::io) fn commit(mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(|e| self.failed(e))?;
        self.name_it()
    }

    /// After a failure: gives a file of the first `bytes` bytes its name. A stream has them already.
    pub(in crate::io) fn commit_first(mut self, bytes: u64) -> Result<(), WriteError> {
        if let Some(partial) = &self.partial {
            partial.shorten(bytes).map_err(|e| self.failed(e))?;
        }
        self.name_it()
    }

    fn name_it(&mut self) -> Result<(), WriteError> {
        match self.partial.take() {
            Some(partial) => partial.commit().map_err(|e| self.failed(e)),
            None => Ok(()),
        }
    }

    /// The error for this file. Encoders wrap what they got from the file; what the file itself said first rules.
    pub(in crate::io) fn failed(&self, source: io::Error) -> WriteError {
        let source = self.out.first_error().unwrap_or(source);
        WriteError::Io { file: self.name.clone(), source }
    }

    /// The error for this file, from an encoder.
    pub(in crate::io) fn refused(&self, reason: &str) -> WriteError {
        WriteError::Encode { file: self.name.clone(), reason: reason.to_string() }
    }
}
