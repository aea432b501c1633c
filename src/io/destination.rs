//! A file that has its name only once it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Place, WriteError};

/// Where bytes go. Clones lead to the same file: encoders keep one, and some write their last bytes while they are
/// dropped, so the first error is kept here until [`Destination::commit`] asks.
#[derive(Clone)]
pub(super) struct Out(Arc<Mutex<State>>);

struct State {
    writer: BufWriter<Box<dyn Write + Send>>,
    failed: Option<io::Error>,
}

impl Out {
    fn new(writer: impl Write + Send + 'static) -> Self {
        let writer = BufWriter::with_capacity(1 << 16, Box::new(writer) as Box<dyn Write + Send>);
        Self(Arc::new(Mutex::new(State { writer, failed: None })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &state.failed {
            return Err(copy(error));
        }
        let result = work(&mut state.writer);
        if let Err(error) = &result {
            state.failed = Some(copy(error));
        }
        result
    }

    fn first_error(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed.as_ref().map(copy)
    }
}

/// `io::Error` has no `Clone`.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `write_all`: an interrupted call is tried again here, and does not count as the first error.
        self.with(|writer| writer.write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(|writer| writer.flush())
    }
}

/// A file in the making, or a stream.
pub(super) struct Destination {
    name: String,
    out: Out,
    partial: Option<Partial>,
}

/// The temporary name; removed with the value unless renamed.
struct Partial {
    temporary: PathBuf,
    target: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Destination {
    /// Opens standard output, a device or pipe by its name, or a temporary file beside `place`.
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        match place {
            Place::Pipe => Ok(Self { name: "standard output".into(), out: Out::new(io::stdout()), partial: None }),
            Place::File(path) => Self::open_path(path),
        }
    }

    fn open_path(path: &Path) -> io::Result<Self> {
        let name = path.display().to_string();
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => Err(io::Error::other("this is a folder")),
            // A device or a named pipe is written to, never replaced.
            Ok(about) if !about.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                Ok(Self { name, out: Out::new(file), partial: None })
            }
            // Behind a link, the file is replaced, not the link.
            Ok(_) => Self::open_partial(name, fs::canonicalize(path)?),
            Err(_) => Self::open_partial(name, path.to_path_buf()),
        }
    }

    fn open_partial(name: String, target: PathBuf) -> io::Result<Self> {
        let (temporary, file) = create_beside(&target)?;
        Ok(Self { name, out: Out::new(file), partial: Some(Partial { temporary, target }) })
    }

    /// Where to write.
    pub(super) fn out(&self) -> Out {
        self.out.clone()
    }

    /// Writes what is buffered, and gives the file its name.
    pub(super) fn commit(mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(|e| self.failed(e))?;
        if let Some(partial) = &self.partial {
            fs::rename(&partial.temporary, &partial.target).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    /// The error for this file. Encoders wrap what they got from the file; what the file itself said first rules.
    pub(super) fn failed(&self, source: io::Error) -> WriteError {
        let source = self.out.first_error().unwrap_or(source);
        WriteError::Io { file: self.name.clone(), source }
    }

    /// The error for this file, from an encoder.
    pub(super) fn refused(&self, reason: &str) -> WriteError {
        WriteError::Encode { file: self.name.clone(), reason: reason.to_string() }
    }
}

/// `.NAME.partial-PID` in the folder of `target`, so that the rename stays on one file system.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let file_name = target.file_name().ok_or_else(|| io::Error::other("the name of a file is missing"))?;
    // File systems end names at 255 bytes.
    let stem = if file_name.len() > 200 { "bifocal".into() } else { file_name.to_string_lossy() };
    let pid = std::process::id();
    let mut error = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..100 {
        let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
        let temporary = target.with_file_name(format!(".{stem}.partial-{pid}{suffix}"));
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => error = e,
            Err(e) => return Err(e),
        }
    }
    Err(error)
}
