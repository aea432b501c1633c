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

/// Do both paths lead to the same existing file, links of all kinds followed?
pub fn same_file(a: &Path, b: &Path) -> bool {
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    match (canonical(a), canonical(b)) {
        (Some(x), Some(y)) => x == y || same_inode(&x, &y),
        _ => false,
    }
}

#[cfg(unix)]
fn same_inode(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    inode(a).is_some_and(|id| inode(b) == Some(id))
}

#[cfg(not(unix))]
fn same_inode(_: &Path, _: &Path) -> bool {
    false
}
