//! One error for each operation. Every message is one line: the file, then the reason.

use std::io;

use image::error::LimitErrorKind;

use crate::geom::{MAX_SIDE, Size};

/// Why the system does not give a file or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// There is none of that name.
    Absent,
    /// This user may not use it.
    Permission,
    /// Another program holds it.
    Busy,
    /// The device has left, or nothing is connected to it.
    Unplugged,
    /// This program was built without the driver.
    NotBuilt,
    /// The system is short of memory, threads or open files.
    Resources,
    /// The system failed otherwise.
    Failed,
}

impl Cause {
    /// What an error of the system means for whoever opens something.
    pub fn of(error: &io::Error) -> Self {
        #[cfg(unix)]
        if let Some(code) = error.raw_os_error() {
            use rustix::io::Errno;
            let any = |errors: &[Errno]| errors.iter().any(|errno| errno.raw_os_error() == code);
            if any(&[Errno::NODEV, Errno::NXIO]) {
                return Self::Unplugged;
            }
            if any(&[Errno::MFILE, Errno::NFILE, Errno::AGAIN]) {
                return Self::Resources;
            }
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::ResourceBusy | io::ErrorKind::ExecutableFileBusy => Self::Busy,
            io::ErrorKind::OutOfMemory => Self::Resources,
            _ => Self::Failed,
        }
    }
}

/// Why a picture, video or device cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system does not give it.
    #[error("{file}: {reason}")]
    Unavailable {
        /// The file or device.
        file: String,
        /// Which of the usual reasons.
        cause: Cause,
        /// Why, and what to do.
        reason: String,
        /// What the system said, if it was asked.
        source: Option<io::Error>,
    },
    /// It is there, and what it gives or what is asked of it is not supported.
    #[error("{file}: {reason}")]
    Unsupported {
        /// The file or device.
        file: String,
        /// What is not, and what is.
        reason: String,
    },
    /// It has no bytes.
    #[error("{file}: the file is empty")]
    Empty {
        /// The file.
        file: String,
    },
    /// No known format begins like this.
    #[error("{file}: not a picture that can be read (PNG, PPM, PGM, JPEG, JPEG XL, WebP, BMP, TIFF, GIF){hint}")]
    Unknown {
        /// The file.
        file: String,
        /// What it is, where that is known, and what makes something else of it.
        hint: &'static str,
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
    /// It is damaged, or not what it should be.
    #[error("{file}: {reason}")]
    Corrupt {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

impl OpenError {
    /// What the system said of `file`.
    pub(in crate::io) fn io(file: impl ToString, source: io::Error) -> Self {
        Self::Unavailable {
            file: file.to_string(),
            cause: Cause::of(&source),
            reason: source.to_string(),
            source: Some(source),
        }
    }
}

/// Why the next row or frame cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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

/// Why a picture or video cannot be begun, or a device cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The system does not give the device.
    #[error("{file}: {reason}")]
    Unavailable {
        /// The device.
        file: String,
        /// Which of the usual reasons.
        cause: Cause,
        /// Why, and what to do.
        reason: String,
        /// What the system said, if it was asked.
        source: Option<io::Error>,
    },
    /// The file cannot be made.
    #[error("{file}: cannot write here: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The name does not tell a format.
    #[error("{file}: the name does not tell a format; use .png, .ppm, .pgm, .jpg, .webp, .bmp, .tif or .gif")]
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

impl From<WriteError> for CreateError {
    /// The beginning of a file could not be written.
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io { file, source } => Self::Io { file, source },
            WriteError::Encode { file, reason } => Self::Unsupported { file, reason },
        }
    }
}

/// Why a row or frame, or the end of the file, cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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

/// Why a driver cannot begin, before it is known which way frames go and what the device is called.
#[derive(Debug)]
pub(in crate::io) struct DeviceError {
    /// `None`: the system gave the device, and what is asked of it is not supported.
    cause: Option<Cause>,
    reason: String,
    source: Option<io::Error>,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
impl DeviceError {
    /// Why none of several devices can be used; the first is the likeliest.
    #[cfg(all(target_os = "linux", feature = "drm"))]
    pub(in crate::io) fn joined(errors: Vec<Self>) -> Self {
        let reason = errors.iter().map(|error| error.reason.as_str()).collect::<Vec<_>>().join("; ");
        let first = errors.into_iter().next();
        let (cause, source) = first.map_or((None, None), |error| (error.cause, error.source));
        Self { cause, reason, source }
    }

    pub(in crate::io) fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause: Some(cause), reason: reason.into(), source: None }
    }

    /// What the system said, in words that say what to do.
    pub(in crate::io) fn of(source: impl Into<io::Error>, reason: impl Into<String>) -> Self {
        let source = source.into();
        Self { cause: Some(Cause::of(&source)), reason: reason.into(), source: Some(source) }
    }

    pub(in crate::io) fn open(self, file: &str) -> OpenError {
        let (file, reason) = (file.to_string(), self.reason);
        match self.cause {
            Some(cause) => OpenError::Unavailable { file, cause, reason, source: self.source },
            None => OpenError::Unsupported { file, reason },
        }
    }

    pub(in crate::io) fn create(self, file: &str) -> CreateError {
        let (file, reason) = (file.to_string(), self.reason);
        match self.cause {
            Some(cause) => CreateError::Unavailable { file, cause, reason, source: self.source },
            None => CreateError::Unsupported { file, reason },
        }
    }
}

impl<T: Into<String>> From<T> for DeviceError {
    /// What is asked of the device is not supported.
    fn from(reason: T) -> Self {
        Self { cause: None, reason: reason.into(), source: None }
    }
}

impl std::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What a decoder says, before the operation and the file are known.
#[derive(Debug)]
pub(in crate::io) enum Fault {
    Io(io::Error),
    Bad(String),
}

impl Fault {
    /// Some decoders say it in several lines.
    pub(in crate::io) fn bad(reason: impl std::fmt::Display) -> Self {
        Self::Bad(reason.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(in crate::io) fn open(self, file: &str) -> OpenError {
        let file = file.to_string();
        match self {
            Self::Io(source) => OpenError::io(file, source),
            Self::Bad(reason) => OpenError::Corrupt { file, reason },
        }
    }

    pub(in crate::io) fn read(self, file: &str) -> ReadError {
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
            io::ErrorKind::OutOfMemory => Self::Io(error),
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
            image::ImageError::Limits(error) if matches!(error.kind(), LimitErrorKind::InsufficientMemory) => {
                Self::Io(io::Error::new(io::ErrorKind::OutOfMemory, "it takes more memory than there is"))
            }
            other => Self::bad(other),
        }
    }
}

/// Bytes in MiB, rounded up.
pub(in crate::io) fn mib(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn causes_are_told_apart_and_the_systems_words_kept() {
        for (code, cause) in [
            (2, Cause::Absent),
            (13, Cause::Permission),
            (16, Cause::Busy),
            (19, Cause::Unplugged),
            (12, Cause::Resources),
            (24, Cause::Resources),
            (5, Cause::Failed),
        ] {
            let error = OpenError::io("x", io::Error::from_raw_os_error(code));
            assert!(
                matches!(&error, OpenError::Unavailable { cause: found, .. } if *found == cause),
                "{code}: {error:?}"
            );
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            assert_eq!(source.and_then(io::Error::raw_os_error), Some(code));
        }
        assert!(matches!(DeviceError::from("no format").open("x"), OpenError::Unsupported { .. }));
    }
}
