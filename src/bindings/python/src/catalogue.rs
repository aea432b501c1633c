//! `bifocal.models` and `bifocal.plan`: what the commands of these names print as JSON.

use bifocal::{Model, Options, PixelFormat, Size, survey};
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::arguments;
use crate::errors::{Failure, detached, fenced};
use crate::settings::{Named, Settings, ask};

/// A value of JSON as Python has it.
pub fn dictionary<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (value.to_string(),))
}

/// The models that names stand for: those of the package, then files in the folders of BIFOCAL_MODELS and in
/// /usr/share/bifocal/models, which have a "file". A file that cannot be read is left out with a warning.
#[pyfunction]
pub fn models(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    fenced(|| list(py))
}

fn list(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let (models, refused) = detached(py, || {
        let (mut models, mut refused) = (vec![], vec![]);
        let mut add = |model: &Model| {
            let mut entry = json!(model.metadata());
            entry["parameters"] = json!(model.parameters());
            models.push(entry);
        };
        ask(0)?;
        for name in Model::EMBEDDED {
            Model::named(name)?.iter().for_each(&mut add);
        }
        let mut files = vec![];
        for (_, path) in Model::files() {
            match Model::open(&path) {
                Ok(model) => {
                    add(&model);
                    files.push(path);
                }
                Err(error) => refused.push(Failure::from(error).to_string()),
            }
        }
        let embedded = models.len() - files.len();
        for (entry, path) in models[embedded..].iter_mut().zip(files) {
            entry["file"] = json!(path);
        }
        Ok((models, refused))
    })?;
    for reason in refused {
        let warnings = py.import("warnings")?;
        warnings.call_method1("warn", (reason, py.get_type::<PyUserWarning>(), 1))?;
    }
    dictionary(py, &Value::Array(models))
}

/// What upscaling an RGB frame of size=(width, height) takes: where its work is cut, and what goes where in memory. Nothing is
/// run.
#[pyfunction]
#[pyo3(signature = (model=None, size=None, *, scale=None, mem=None, threads=None, branches="both", effort=None, level=None),
    text_signature = "(model=None, size=(640, 360), *, scale=None, mem=None, threads=None, branches='both', effort=None, level=None)")]
#[expect(clippy::too_many_arguments, reason = "they are keywords")]
pub fn plan<'py>(
    py: Python<'py>,
    model: Option<&Bound<'py, PyAny>>,
    size: Option<&Bound<'py, PyAny>>,
    scale: Option<&Bound<'py, PyAny>>,
    mem: Option<&Bound<'py, PyAny>>,
    threads: Option<&Bound<'py, PyAny>>,
    branches: &str,
    effort: Option<&Bound<'py, PyAny>>,
    level: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    fenced(|| {
        let size = size.map_or(Ok(Size::new(640, 360)), arguments::size)?;
        let [scale, threads, effort] =
            arguments::numbers([("scale", scale), ("threads", threads), ("effort", effort)])?;
        let settings = Settings::new(mem, threads.as_ref(), branches, effort.as_ref(), level)?;
        let named = Named::new(model, scale)?;
        let report = detached(py, || {
            let model = named.load()?;
            let options = Options::new(size, PixelFormat::Rgb8);
            Ok(json!(settings.prepare(options, |options| survey(&model, options))?))
        })?;
        dictionary(py, &report)
    })
}
