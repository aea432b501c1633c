//! What ends the command: a line for the user and a code for scripts.

use std::process::ExitCode;

use crate::engine::{PrepareError, PushError};
use crate::io::{Cause, CreateError, OpenError, ReadError, WriteError};
use crate::model::ModelError;

/// Exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The reader of our output has left; that is its right.
    Closed = 0,
    /// Something failed on the way: a device, a disk.
    Failed = 1,
    /// The command line or the input is wrong; trying again changes nothing.
    Usage = 2,
    /// The memory budget is too small, or the system gives less than is needed.
    Budget = 3,
}

/// An end before the end.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    message: String,
    /// A model that was read, and that cannot be run.
    refused: bool,
    /// The signal that asked for it.
    signal: Option<i32>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), refused: false, signal: None }
    }

    /// The same, asked for by a signal, if there was one.
    #[cfg(unix)]
    pub(super) fn by(self, signal: Option<i32>) -> Self {
        Self { signal, ..self }
    }

    /// The signal that asked for it.
    pub(super) fn signal(&self) -> Option<i32> {
        self.signal
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Is it about a model that was read, and that cannot be run?
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    pub(super) fn closed() -> Self {
        Self::new(Code::Closed, "the reader has left")
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }
}

impl std::fmt::Display for Failure {
    /// One line, whatever the libraries below say.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Is the command line wrong, which names what cannot be had, or did the system fail?
fn code_of(cause: Cause) -> Code {
    match cause {
        Cause::Absent | Cause::Permission | Cause::Busy | Cause::NotBuilt => Code::Usage,
        _ => Code::Failed,
    }
}

/// Did the system give no memory?
fn is_memory(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::OutOfMemory
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::Unavailable { source: Some(source), .. } if is_memory(source) => Code::Budget,
            OpenError::Unavailable { cause, .. } => code_of(*cause),
            _ => Code::Usage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let code = match &error {
            ReadError::Io { source, .. } if is_memory(source) => Code::Budget,
            ReadError::Io { .. } => Code::Failed,
            _ => Code::Usage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        let code = match error {
            CreateError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe => Code::Closed,
            CreateError::Io { ref source, .. } if is_memory(source) => Code::Budget,
            CreateError::Io { .. } => Code::Failed,
            CreateError::Unavailable { cause, .. } => code_of(cause),
            _ => Code::Usage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let code = match &error {
            _ if error.is_closed_pipe() => Code::Closed,
            WriteError::Io { source, .. } if is_memory(source) => Code::Budget,
            _ => Code::Failed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let code = match error {
            _ if is_budget(&error) => Code::Budget,
            PrepareError::Memory(_) => Code::Budget,
            PrepareError::Spawn(_) => Code::Failed,
            _ => Code::Usage,
        };
        Self::new(code, error.to_string())
    }
}

impl<E: Into<Failure>> From<PushError<E>> for Failure {
    fn from(error: PushError<E>) -> Self {
        match error {
            PushError::Receiver(error) => error.into(),
            PushError::Network(reason) => Self::new(Code::Failed, format!("the network failed: {reason}")),
            PushError::RowLength { given, needed } => {
                Self::new(Code::Failed, format!("a row of {given} bytes; the picture's have {needed}"))
            }
            PushError::WholeFrames => Self::new(Code::Failed, "rows for an engine of whole frames".to_string()),
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self { refused: matches!(error, ModelError::Parse { .. }), ..Self::usage(error.to_string()) }
    }
}

/// Is more memory all that is missing?
pub(super) fn is_budget(error: &PrepareError) -> bool {
    matches!(error, PrepareError::Budget { .. })
}
