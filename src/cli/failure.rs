//! What ends the command: a line for the user and a code for scripts.

use std::process::ExitCode;

use crate::engine::PrepareError;
use crate::io::{CreateError, OpenError, ReadError, WriteError};
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
    /// The memory budget is too small.
    Budget = 3,
}

/// An end before the end.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    message: String,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
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

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::Io { .. } => Code::Failed,
            ReadError::Corrupt { .. } => Code::Usage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        let code = match error {
            CreateError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe => Code::Closed,
            CreateError::Io { .. } => Code::Failed,
            _ => Code::Usage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let code = if error.is_closed_pipe() { Code::Closed } else { Code::Failed };
        Self::new(code, error.to_string())
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let code = if is_budget(&error) { Code::Budget } else { Code::Usage };
        Self::new(code, error.to_string())
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Is more memory all that is missing?
pub(super) fn is_budget(error: &PrepareError) -> bool {
    matches!(error, PrepareError::Budget { .. })
}
