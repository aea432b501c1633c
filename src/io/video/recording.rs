//! A file or pipe of frames, one after the other: what is kept of it is whole frames, whatever happens.

use std::io::{self, Write};

use super::Shown;
use crate::io::destination::{Destination, Out};
use crate::io::error::WriteError;

/// Frames on their way to a file or pipe.
pub(super) struct Recording {
    destination: Destination,
    /// Bytes until the end of the last whole frame.
    whole: u64,
    frames: u64,
    /// A frame could not be written; the file ends before it.
    torn: bool,
}

impl Recording {
    /// Writes what comes before the frames.
    pub(super) fn begin(destination: Destination, header: &[u8]) -> Result<Self, WriteError> {
        destination.out().write_all(header).map_err(|e| destination.failed(e))?;
        Ok(Self { destination, whole: header.len() as u64, frames: 0, torn: false })
    }

    /// Writes a frame, all of it or none.
    pub(super) fn frame(&mut self, write: impl FnOnce(&mut Out) -> io::Result<()>) -> Result<Shown, WriteError> {
        let mut out = self.destination.out();
        match write(&mut out).and_then(|()| out.flush()) {
            Ok(()) => {
                self.whole = out.written();
                self.frames += 1;
                Ok(Shown::Now)
            }
            Err(error) => {
                self.torn = true;
                Err(self.destination.failed(error))
            }
        }
    }

    /// Gives the file its name; of a frame that was not written whole nothing stays. Without any frame there is no file,
    /// and one that was there before stays.
    pub(super) fn finish(self) -> Result<(), WriteError> {
        match (self.frames, self.torn) {
            (0, _) => Ok(()),
            (_, true) => self.destination.commit_first(self.whole),
            (_, false) => self.destination.commit(),
        }
    }
}
