//! `bifocal upscale` on a folder: every picture, whatever happens to the others.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::args::{Format, Upscale};
use super::failure::{Code, Failure};
use super::picture::{Done, Failed, Summary, inside, picture};
use super::progress::Progress;
use super::session::Session;
use super::{print, report};
use crate::io::{FileIdentity, Location, Output, is_picture_name, same_file};

pub(super) fn run(args: &Upscale, input: &Path, output: &Location, progress: Progress) -> Result<(), Failure> {
    let Location::File(output) = output else {
        return Err(Failure::usage("a folder of pictures cannot go to a pipe; name an output folder"));
    };
    let pictures = pictures(input)?;
    if same_file(input, output) {
        return Err(Failure::usage(format!("{}: this is the input folder; name another", output.display())));
    }
    let mut session = Session::open(&args.engine)?;
    fs::create_dir_all(output).map_err(|error| {
        Failure::new(Code::Failed, format!("{}: cannot make this folder: {error}", output.display()))
    })?;

    let (mut images, mut failed) = (Vec::new(), Vec::new());
    let originals = pictures.iter().filter_map(|path| FileIdentity::of(path)).collect();
    let mut targets = Targets { folder: output, originals, taken: HashMap::new() };
    for (number, path) in pictures.iter().enumerate() {
        let label = format!("{}/{} {}", number + 1, pictures.len(), file_name(path));
        match one(args, &mut session, path, &mut targets, &label, progress) {
            Ok(done) => images.push(done),
            Err(failure) => {
                report::line(&failure.to_string());
                failed.push(Failed { input: path.display().to_string(), error: failure.to_string() });
            }
        }
    }
    let (wrong, all) = (failed.len(), pictures.len());
    if args.format == Format::Json {
        let (model, scale) = (session.model.metadata().name.as_str(), session.scale());
        print::json(&Summary { model, scale, images, failed })?;
    }
    if wrong > 0 {
        return Err(Failure::new(Code::Failed, format!("{wrong} of {all} pictures failed")));
    }
    Ok(())
}

/// Where pictures go, and what must not be written over.
struct Targets<'a> {
    folder: &'a Path,
    /// All pictures that are read: a link in the output folder may lead to one of them.
    originals: HashSet<FileIdentity>,
    /// Each target with the picture that it is made from.
    taken: HashMap<PathBuf, PathBuf>,
}

impl Targets<'_> {
    fn take(&mut self, path: &Path, args: &Upscale) -> Result<PathBuf, Failure> {
        let target = inside(self.folder, path, args);
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

fn one(
    args: &Upscale,
    session: &mut Session<'_>,
    path: &Path,
    targets: &mut Targets,
    label: &str,
    progress: Progress,
) -> Result<Done, Failure> {
    let target = targets.take(path, args)?;
    let name = target.display().to_string();
    let output = Output::new(Location::File(target), args.format_out)?;
    picture(session, &Location::File(path.to_path_buf()), &output, name, |rows| progress.bar(label, rows))
}

/// Picture files of a folder, sorted by name; folders inside are not entered.
pub(super) fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let wrong = |error: std::io::Error| Failure::usage(format!("{}: {error}", folder.display()));
    let mut pictures = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if !is_picture_name(&path) || path.is_dir() {
            continue;
        }
        // A named pipe would be waited for, perhaps for ever.
        if path.is_file() {
            pictures.push(path);
        } else {
            log::warn!("{}: no file but a pipe or device, or a link to nothing; left out", path.display());
        }
    }
    pictures.sort();
    if pictures.is_empty() {
        return Err(Failure::usage(format!("{}: no pictures in this folder", folder.display())));
    }
    Ok(pictures)
}

/// Last part of a path, for people.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
