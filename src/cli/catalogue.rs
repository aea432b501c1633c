//! The models that commands name.

use std::path::Path;

use super::failure::Failure;
use crate::kernels::Level;
use crate::model::{Branches, Model, Place, find};
use crate::plan::{Plan, PlanError};

/// The ONNX file of a model that [`load`] takes.
pub(super) fn onnx(model: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let place = match model {
        Some(model) => find(model)?,
        None => Place::Embedded(Model::EMBEDDED.first().copied().unwrap_or_default()),
    };
    match place {
        Place::Embedded(name) => Ok(Model::embedded_onnx(name)?.unwrap_or_default()),
        Place::File(path) => Ok(Model::read(&path)?),
    }
}

/// A model by name or path; the default without either.
pub(super) fn load(model: Option<&Path>) -> Result<Model, Failure> {
    let Some(model) = model else { return Ok(Model::embedded()?) };
    match find(model)? {
        Place::Embedded(_) => Ok(Model::find(model)?),
        Place::File(path) => open(&path),
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
