//! A file or a standard stream, as the command line names it.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// A file, or the standard stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Standard input or standard output, written `-`.
    Standard,
    /// A path.
    File(PathBuf),
}

impl From<&OsStr> for Location {
    fn from(text: &OsStr) -> Self {
        if text == "-" { Self::Standard } else { Self::File(PathBuf::from(text)) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Is this something that is written to and never replaced: a device, a named pipe, a socket?
pub(in crate::io) fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

/// Which file a path leads to, links of all kinds followed; equal for all names of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity(Identity);

#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

impl FileIdentity {
    /// `None` where there is no such file.
    pub fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(path).ok().map(|about| Self((about.dev(), about.ino())))
        }
        #[cfg(not(unix))]
        {
            std::fs::canonicalize(path).ok().map(Self)
        }
    }
}

/// Do both paths lead to the same existing file?
pub fn same_file(a: &Path, b: &Path) -> bool {
    FileIdentity::of(a).is_some_and(|a| FileIdentity::of(b) == Some(a))
}

/// A name with `%3F` and `%25` as the letters that they stand for, which mean something in a URI and in a pattern.
pub(in crate::io) fn unescaped(name: &str) -> String {
    name.replace("%3F", "?").replace("%3f", "?").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unescaped("a%3Fb%3fc%25d %20 100%"), "a?b?c%d %20 100%");
        assert_eq!(unescaped("%253F"), "%3F", "an escape is not read twice");
    }
}
