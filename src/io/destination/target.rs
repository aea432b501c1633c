//! What a target is, and what of it a new file keeps.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Links that are followed before they count as a loop.
const MOST_LINKS: usize = 40;

/// The file that `path` leads to, links followed. It need not be there: of a link that leads to nothing, the file that
/// it names is made.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_symlink() => {
                let to = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            Ok(_) => return fs::canonicalize(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links, one leading to the other"))
}

/// Gives `file` the permissions and the owner of `target`, where that is there.
///
/// # Errors
///
/// When this user may not: then the file would change hands, or be open to others, without anybody having said so.
#[cfg(unix)]
pub(super) fn keep_access(target: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let old = match fs::metadata(target) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let new = file.metadata()?;
    let differs = |old: u32, new: u32| (old != new).then_some(old);
    let (owner, group) = (differs(old.uid(), new.uid()), differs(old.gid(), new.gid()));
    if owner.is_some() || group.is_some() {
        fchown(file, owner, group).map_err(|error| {
            let what = "the file that is there belongs to others, which cannot be kept; remove it first";
            io::Error::new(error.kind(), format!("{what} ({error})"))
        })?;
    }
    // After the owner: a change of owner takes set-user-id bits away.
    file.set_permissions(old.permissions())
}

#[cfg(not(unix))]
pub(super) fn keep_access(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}
