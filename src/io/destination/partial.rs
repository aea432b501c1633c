//! Files under temporary names: `.NAME.bifocal-PID.partial`, locked while they are written.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::target;

/// Between the name of the target and the process id, and behind that.
const MARK: (&str, &str) = (".bifocal-", ".partial");
/// File systems end names at 255 bytes; longer names of targets are left out of the temporary one.
const LONGEST_NAME: usize = 200;

/// What this process knows of temporary files.
#[derive(Default)]
struct Known {
    /// Its own, to be removed when a signal ends it.
    own: BTreeSet<PathBuf>,
    /// Folders that were searched for those of others; once is enough.
    searched: BTreeSet<PathBuf>,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the files that this process has not completed, for a program that is about to be ended by a signal.
pub fn remove_partial_files() {
    for path in std::mem::take(&mut known().own) {
        let _ = fs::remove_file(path);
    }
}

/// The same for a program that ends because it gets no memory, perhaps while it notes a file: what cannot be had now, the next
/// run removes.
pub fn remove_partial_files_if_free() {
    let Ok(mut known) = KNOWN.try_lock() else { return };
    while let Some(path) = known.own.pop_first() {
        let _ = fs::remove_file(path);
    }
}

/// A file that is being written; removed with the value unless it is committed.
pub(super) struct Partial {
    temporary: PathBuf,
    target: PathBuf,
    /// Holds the lock.
    file: File,
}

impl Partial {
    /// Begins a file that will be `target`; the second is the same file, to be written.
    pub(super) fn begin(target: PathBuf) -> io::Result<(Self, File)> {
        let folder = folder(&target);
        if known().searched.insert(folder.to_path_buf()) {
            remove_leftovers(folder);
        }
        let (temporary, file) = create_beside(&target)?;
        let partial = Self { temporary, target, file };
        target::keep_access(&partial.target, &partial.file)?;
        let writer = partial.file.try_clone()?;
        Ok((partial, writer))
    }

    /// Its temporary name.
    pub(super) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Cuts what lies behind the first `bytes` bytes.
    pub(super) fn shorten(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    /// Gives the file its name, once its bytes are on the disk.
    pub(super) fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        let mut known = known();
        fs::rename(&self.temporary, &self.target)?;
        known.own.remove(&self.temporary);
        drop(known);
        sync_folder(folder(&self.target))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Once committed there is none of this name.
        if known().own.remove(&self.temporary) {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn folder(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new, locked file in the folder of `target`, so that the rename stays on one file system.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let name = target.file_name().ok_or_else(|| io::Error::other("the name of a file is missing"))?;
    let stem = if name.len() > LONGEST_NAME { "long".into() } else { name.to_string_lossy() };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if target.exists() {
        // What it may be is that of the target, and nothing more until it has that.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut error = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..100 {
        let process = std::process::id();
        let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
        let temporary = target.with_file_name(format!(".{stem}{}{process}{suffix}{}", MARK.0, MARK.1));
        // From before it exists: a signal may come at any time.
        if !known().own.insert(temporary.clone()) {
            continue;
        }
        match options.open(&temporary) {
            Ok(file) if lock(&file) => return Ok((temporary, file)),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => error = e,
            Err(e) => {
                known().own.remove(&temporary);
                return Err(e);
            }
        }
        known().own.remove(&temporary);
    }
    Err(error)
}

/// Locks a file that was just made; not so if another process took it for a leftover in between.
fn lock(file: &File) -> bool {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        // A file system without locks has no leftovers removed either.
        Ok(()) | Err(TryLockError::Error(_)) => is_linked(file),
    }
}

#[cfg(unix)]
fn is_linked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|about| about.nlink() > 0)
}

#[cfg(not(unix))]
fn is_linked(_: &File) -> bool {
    true
}

/// Removes temporary files whose program has ended: those that nobody holds locked.
fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(process) = entry.file_name().to_str().and_then(process_of) else { continue };
        if process == std::process::id() || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        // The lock is held until the file is removed, so that its own program, if it is only just begun, notices.
        if file.try_lock().is_ok() && fs::remove_file(&path).is_ok() {
            log::info!("{}: left behind by a run that was ended; removed", path.display());
        }
    }
}

/// The process in the name of a temporary file.
fn process_of(name: &str) -> Option<u32> {
    let (stem, rest) = name.strip_prefix('.')?.rsplit_once(MARK.0)?;
    let process = rest.strip_suffix(MARK.1)?;
    let process = process.split_once('-').map_or(process, |(process, _)| process);
    process.parse().ok().filter(|_| !stem.is_empty())
}

/// Makes a rename last. Some file systems have nothing to do for that, and some folders may be written but not read.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_tell_their_process() {
        assert_eq!(process_of(".a.png.bifocal-123.partial"), Some(123));
        assert_eq!(process_of(".a.png.bifocal-123-4.partial"), Some(123));
        for other in ["a.png", ".a.png.bifocal-.partial", ".bifocal-1.partial", "x.bifocal-1.partial", ".a.partial"] {
            assert_eq!(process_of(other), None, "{other}");
        }
    }
}
