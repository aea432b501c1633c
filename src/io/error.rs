//! One error for each operation. Every message is one line: the file, then the reason.

use std::io;

use super::limits::{MAX_SIDE, mib};
use crate::geom::Size;

/// Why a picture cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there, or may not be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It has no bytes.
    #[error("{file}: the file is empty")]
    Empty {
        /// The file.
        file: String,
    },
    /// No known format begins like this.
    #[error("{file}: not a picture that can be read (PNG, PPM, PGM, JPEG, WebP, BMP, TIFF)")]
    Unknown {
        /// The file.
        file: String,
    },
    /// A side exceeds [`MAX_SIDE`].
    #[error("{file}: {size} is too large; the limit is {MAX_SIDE}x{MAX_SIDE}")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        size: Size,
    },
    /// It would have to be held whole, and that is too much.
    #[error(
        "{file}: {size} takes {} as a whole, the limit is {}; convert it to non-interlaced PNG or to PPM, which are read row by row",
        mib(*needed),
        mib(*limit)
    )]
    TooMuch {
        /// The file.
        file: String,
        /// Its size.
        size: Size,
        /// Bytes of its pixels.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// It has more bytes than may be held.
    #[error("{file}: the file has more than the {} that can be held", mib(*limit))]
    TooLong {
        /// The file.
        file: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// It is damaged, or uses a feature that is not supported.
    #[error("{file}: {reason}")]
    Corrupt {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why the next row cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The device failed.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The picture is damaged.
    #[error("{file}: {reason}")]
    Corrupt {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a picture cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The file cannot be made.
    #[error("{file}: cannot write here: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The name does not tell a format.
    #[error("{file}: the name does not tell a format; use .png, .ppm, .pgm, .jpg, .webp, .bmp or .tif")]
    Unknown {
        /// The file.
        file: String,
    },
    /// The format cannot hold this picture.
    #[error("{file}: {reason}")]
    Unsupported {
        /// The file.
        file: String,
        /// What it cannot hold, and what can.
        reason: String,
    },
    /// It is the input.
    #[error("{file}: this is the input itself, which is never overwritten; give another name")]
    SameFile {
        /// The file.
        file: String,
    },
}

/// Why a row, or the end of the picture, cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The device failed: disk full, reader gone.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The encoder refused.
    #[error("{file}: {reason}")]
    Encode {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

impl WriteError {
    /// Has the reader of a pipe left? Then nothing is wrong: it has what it wanted.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What a decoder says, before the operation and the file are known.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Bad(String),
}

impl Fault {
    /// Some decoders say it in several lines.
    pub(super) fn bad(reason: impl std::fmt::Display) -> Self {
        Self::Bad(reason.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(super) fn open(self, file: &str) -> OpenError {
        let file = file.to_string();
        match self {
            Self::Io(source) => OpenError::Io { file, source },
            Self::Bad(reason) => OpenError::Corrupt { file, reason },
        }
    }

    pub(super) fn read(self, file: &str) -> ReadError {
        let file = file.to_string();
        match self {
            Self::Io(source) => ReadError::Io { file, source },
            Self::Bad(reason) => ReadError::Corrupt { file, reason },
        }
    }
}

impl From<io::Error> for Fault {
    /// Decoders report bad data through `io::Error` too; only what the system said counts as I/O.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::bad("the picture is cut short"),
            _ if error.raw_os_error().is_some() => Self::Io(error),
            _ => Self::bad(error),
        }
    }
}

impl From<::png::DecodingError> for Fault {
    fn from(error: ::png::DecodingError) -> Self {
        match error {
            ::png::DecodingError::IoError(error) => error.into(),
            other => Self::bad(format!("damaged PNG: {other}")),
        }
    }
}

impl From<image::ImageError> for Fault {
    fn from(error: image::ImageError) -> Self {
        match error {
            image::ImageError::IoError(error) => error.into(),
            other => Self::bad(other),
        }
    }
}
