//! Bytes on their way to a file or stream, and the first error of these.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::io::limits::PORT_BYTES;

/// Where bytes go. Clones lead to the same file: encoders keep one, and some write their last bytes while they are
/// dropped, so the first error is kept here until the file is completed.
#[derive(Clone)]
pub(in crate::io) struct Out(Arc<Mutex<State>>);

struct State {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// Bytes that were taken.
    written: u64,
    failed: Option<io::Error>,
}

impl Out {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        let writer = BufWriter::with_capacity(PORT_BYTES, Box::new(writer) as Box<dyn Write + Send>);
        Self(Arc::new(Mutex::new(State { writer, written: 0, failed: None })))
    }

    fn with(&self, bytes: usize, work: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &state.failed {
            return Err(copy(error));
        }
        let result = work(&mut state.writer);
        match &result {
            Ok(()) => state.written += bytes as u64,
            Err(error) => {
                state.failed = Some(copy(error));
                // What could not be written is not tried again when the file goes.
                let given_up = BufWriter::with_capacity(0, Box::new(io::sink()) as Box<dyn Write + Send>);
                let _ = std::mem::replace(&mut state.writer, given_up).into_parts();
            }
        }
        result
    }

    /// Bytes that were taken until now.
    pub(in crate::io) fn written(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).written
    }

    pub(super) fn first_error(&self) -> Option<io::Error> {
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
        self.with(bytes.len(), |writer| writer.write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(0, |writer| writer.flush())
    }
}
