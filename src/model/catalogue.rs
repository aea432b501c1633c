//! Models that are found by name: those inside the binary, then files in folders.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::ModelError;
use super::embedded::NAMES;

/// Folders of models, separated as in PATH.
const VARIABLE: &str = "BIFOCAL_MODELS";
/// Where a package may put them.
const SHARED: &str = "/usr/share/bifocal/models";

/// The files of the folders by name; the first of a name counts. Folders that are not there hold none.
pub fn files() -> Vec<(String, PathBuf)> {
    let named = std::env::var_os(VARIABLE).unwrap_or_default();
    let folders = std::env::split_paths(&named).filter(|f| !f.as_os_str().is_empty()).chain([SHARED.into()]);
    let mut found: Vec<(String, PathBuf)> = vec![];
    for folder in folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let models = entries.filter(|path| path.extension() == Some(OsStr::new("onnx")) && path.is_file());
        let mut models: Vec<_> = models.filter_map(|p| Some((p.file_stem()?.to_str()?.to_string(), p))).collect();
        models.sort();
        for (name, path) in models {
            if found.iter().all(|(known, _)| *known != name) {
                found.push((name, path));
            }
        }
    }
    found
}

/// Where a model is.
pub enum Place {
    /// Inside the binary.
    Embedded(&'static str),
    /// A file.
    File(PathBuf),
}

/// By a name inside the binary, a path, or a name in a folder.
pub fn find(model: &Path) -> Result<Place, ModelError> {
    if let Some(name) = NAMES.iter().find(|name| model.to_str() == Some(**name)) {
        return Ok(Place::Embedded(name));
    }
    let mut components = model.components();
    let one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if !one || model.exists() {
        return Ok(Place::File(model.to_path_buf()));
    }
    let files = files();
    let wanted = model.to_str().map(|name| name.strip_suffix(".onnx").unwrap_or(name));
    if let Some((_, file)) = files.iter().find(|(name, _)| Some(name.as_str()) == wanted) {
        return Ok(Place::File(file.clone()));
    }
    if model.extension().is_some() {
        return Ok(Place::File(model.to_path_buf())); // the system says why it cannot be read
    }
    let known: Vec<&str> = NAMES.iter().copied().chain(files.iter().map(|(name, _)| name.as_str())).collect();
    let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
    Err(ModelError::Unknown { name: model.display().to_string(), known })
}
