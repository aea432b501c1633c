//! Models that are found by name: those inside the program, then files in folders.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::failure::Failure;
use crate::kernels::Level;
use crate::model::{Branches, Model};
use crate::plan::{Plan, PlanError};

/// Folders of models, separated as in PATH.
const VARIABLE: &str = "BIFOCAL_MODELS";
/// Where a package may put them.
const SHARED: &str = "/usr/share/bifocal/models";

/// The files of the folders by name; the first of a name counts. Folders that are not there hold none.
pub(super) fn files() -> Vec<(String, PathBuf)> {
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

/// What `-m` names.
enum Named {
    Embedded(&'static str),
    File(PathBuf),
}

/// A name inside the program, a path, or a name in a folder; the default without any.
fn named(model: Option<&Path>) -> Result<Named, Failure> {
    let embedded = |wanted: &str| Model::EMBEDDED.iter().find(|name| **name == wanted).copied();
    let Some(path) = model else {
        return Ok(Model::EMBEDDED.first().map_or_else(|| Named::File(PathBuf::new()), |name| Named::Embedded(name)));
    };
    if let Some(name) = path.to_str().and_then(embedded) {
        return Ok(Named::Embedded(name));
    }
    let mut components = path.components();
    let one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if !one || path.exists() {
        return Ok(Named::File(path.to_path_buf()));
    }
    let files = files();
    let wanted = path.to_str().map(|name| name.strip_suffix(".onnx").unwrap_or(name));
    if let Some((_, file)) = files.iter().find(|(name, _)| Some(name.as_str()) == wanted) {
        return Ok(Named::File(file.clone()));
    }
    if path.extension().is_some() {
        return Ok(Named::File(path.to_path_buf())); // the system says why it cannot be read
    }
    let known: Vec<&str> = Model::EMBEDDED.iter().copied().chain(files.iter().map(|(name, _)| name.as_str())).collect();
    let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
    Err(Failure::usage(format!(
        "there is no model '{}'; known are {known}; anything else is the path of an ONNX file",
        path.display()
    )))
}

/// The ONNX file of a model that [`load`] takes.
pub(super) fn onnx(model: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match named(model)? {
        Named::Embedded(name) => Ok(Model::embedded_onnx(name)?.unwrap_or_default()),
        Named::File(path) => Ok(Model::read(&path)?),
    }
}

/// A model by name or path; the default without either.
pub(super) fn load(model: Option<&Path>) -> Result<Model, Failure> {
    match named(model)? {
        Named::Embedded(name) => Ok(Model::named(name)?.ok_or_else(|| Failure::usage(format!("no model '{name}'")))?),
        Named::File(path) if path.as_os_str().is_empty() => Ok(Model::embedded()?),
        Named::File(path) => open(&path),
    }
}

/// A model of a file, in floats if the int8 plan refuses what it reads.
pub(super) fn open(path: &Path) -> Result<Model, Failure> {
    let model = Model::open(path)?;
    if model.graph().is_some()
        && let Err(PlanError::Unsupported { node, reason, .. }) = Plan::new(&model, Branches::Both, Level::SCALAR)
    {
        return Ok(model.refused_by_plan(format!("node '{node}': {reason}"))?);
    }
    Ok(model)
}
