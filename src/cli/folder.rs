//! `bifocal upscale` on a folder: every picture, whatever happens to the others.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::args::{Format, OnPictureError, Upscale};
use super::failure::{Code, Failure};
use super::picture::{Done, Failed, Summary, beside, inside, picture};
use super::progress::Progress;
use super::session::Session;
use super::{print, report};
use crate::io::{FileIdentity, Location, Output, is_finished, is_picture_name, same_file};

pub(super) fn run(args: &Upscale, input: &Path, output: Option<&Location>, progress: Progress) -> Result<(), Failure> {
    if output == Some(&Location::Standard) {
        return Err(Failure::usage("a folder of pictures cannot go to a pipe; name an output folder"));
    }
    let mut session = Session::open(&args.engine)?;
    let output = match output {
        Some(Location::File(output)) => output.clone(),
        _ => beside(input, session.scale(), None)?,
    };
    let mut found = Found::default();
    found.search(input, args.recursive, &mut FileIdentity::of(&output).into_iter().collect())?;
    if same_file(input, &output) {
        return Err(Failure::usage(format!("{}: this is the input folder; name another", output.display())));
    }
    let pictures = found.sorted(input)?;
    make_folder(&output)?;

    let (mut images, mut finished, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let mut stopped = None;
    for failure in found.unreadable {
        report::line(&failure.to_string());
        failed.push(Failed { input: input.display().to_string(), error: failure.to_string() });
    }
    let originals = pictures.iter().filter_map(|path| FileIdentity::of(path)).collect();
    let mut targets = Targets { from: input, folder: &output, originals, taken: HashMap::new() };
    for (number, path) in pictures.iter().enumerate() {
        let label = format!("{}/{} {}", number + 1, pictures.len(), file_name(path));
        match one(args, &mut session, path, &mut targets, &label, progress) {
            Ok(Ok(done)) => images.push(done),
            Ok(Err(target)) => finished.push(target.display().to_string()),
            Err(failure) if args.on_error == Some(OnPictureError::Stop) => {
                failed.push(Failed { input: path.display().to_string(), error: failure.to_string() });
                stopped = Some(failure);
                break;
            }
            Err(failure) => {
                report::line(&failure.to_string());
                failed.push(Failed { input: path.display().to_string(), error: failure.to_string() });
            }
        }
    }
    let (wrong, all) = (failed.len(), pictures.len());
    if !finished.is_empty() {
        log::info!("{} of {all} pictures were finished before", finished.len());
    }
    if args.format == Format::Json {
        let (model, scale) = (session.model.metadata().name.as_str(), session.scale());
        print::json(&Summary { model, scale, images, finished, failed })?;
    }
    match stopped {
        Some(failure) => Err(failure),
        None if wrong > 0 => Err(Failure::new(Code::Failed, format!("{wrong} of {all} pictures failed"))),
        None => Ok(()),
    }
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::new(Code::Failed, format!("{}: cannot make this folder: {error}", folder.display())))
}

/// Where pictures go, and what must not be written over.
struct Targets<'a> {
    from: &'a Path,
    folder: &'a Path,
    /// All pictures that are read: a link in the output folder may lead to one of them.
    originals: HashSet<FileIdentity>,
    /// Each target with the picture that it is made from.
    taken: HashMap<PathBuf, PathBuf>,
}

impl Targets<'_> {
    fn take(&mut self, path: &Path, args: &Upscale) -> Result<PathBuf, Failure> {
        let within = path.parent().and_then(|folder| folder.strip_prefix(self.from).ok()).unwrap_or(Path::new(""));
        let target = inside(&self.folder.join(within), path, args);
        let (from, name) = (path.display(), target.display().to_string());
        // With one format for all, a.jpg and a.bmp lead to the same name.
        if let Some(first) = self.taken.get(&target) {
            return Err(Failure::usage(format!("{from}: {name} is already made from {}", file_name(first))));
        }
        if FileIdentity::of(&target).is_some_and(|target| self.originals.contains(&target)) {
            return Err(Failure::usage(format!("{from}: {name} is one of the pictures that are read; it is kept")));
        }
        self.taken.insert(target.clone(), path.to_path_buf());
        Ok(target)
    }
}

/// The picture that was made, or the name of one that was finished before.
fn one(
    args: &Upscale,
    session: &mut Session<'_>,
    path: &Path,
    targets: &mut Targets,
    label: &str,
    progress: Progress,
) -> Result<Result<Done, PathBuf>, Failure> {
    let target = targets.take(path, args)?;
    if args.resume && is_finished(path, &target, session.scale()) {
        return Ok(Err(target));
    }
    if let Some(folder) = target.parent().filter(|folder| *folder != targets.folder) {
        make_folder(folder)?;
    }
    let name = target.display().to_string();
    let output = Output::new(Location::File(target), args.format_out)?;
    picture(session, &Location::File(path.to_path_buf()), &output, name, |rows| progress.bar(label, rows)).map(Ok)
}

/// What a folder holds.
#[derive(Default)]
struct Found {
    pictures: Vec<PathBuf>,
    /// Folders inside that cannot be read.
    unreadable: Vec<Failure>,
}

impl Found {
    /// Looks for picture files, and, if it is `recursive`, into the folders inside. None of those in `seen` is entered: links
    /// may lead in circles, or into the output.
    fn search(&mut self, folder: &Path, recursive: bool, seen: &mut HashSet<FileIdentity>) -> Result<(), Failure> {
        let wrong = |error: std::io::Error| Failure::usage(format!("{}: {error}", folder.display()));
        if !FileIdentity::of(folder).is_none_or(|folder| seen.insert(folder)) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.is_dir() {
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if recursive && !hidden {
                    let inside = self.search(&path, true, seen);
                    self.unreadable.extend(inside.err());
                }
                continue;
            }
            if !is_picture_name(&path) {
                continue;
            }
            // A named pipe would be waited for, perhaps for ever.
            if path.is_file() {
                self.pictures.push(path);
            } else {
                log::warn!("{}: no file but a pipe or device, or a link to nothing; left out", path.display());
            }
        }
        Ok(())
    }

    /// The pictures by name; there must be some.
    fn sorted(&mut self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut pictures = std::mem::take(&mut self.pictures);
        pictures.sort();
        match pictures.is_empty() {
            true => Err(Failure::usage(format!("{}: no pictures in this folder", folder.display()))),
            false => Ok(pictures),
        }
    }
}

/// Picture files of a folder, sorted by name; folders inside are not entered.
pub(super) fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Found::default();
    found.search(folder, false, &mut HashSet::new())?;
    found.sorted(folder)
}

/// Last part of a path, for people.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
