//! What may be asked for: the command line's options, with the same defaults.

use std::path::PathBuf;
use std::thread::available_parallelism;

use bifocal::{Branches, Budget, DEFAULT_EFFORT, Level, MOST_THREADS, Model, Options, PrepareError};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};

use crate::errors::Failure;

/// An amount of memory: a number of bytes, or text such as `32MiB`.
fn amount(mem: &Bound<'_, PyAny>) -> PyResult<Budget> {
    if let Ok(text) = mem.extract::<String>() {
        return Ok(text.parse().map_err(Failure::from)?);
    }
    if !mem.is_instance_of::<PyInt>() {
        let kind = mem.get_type().name()?;
        return Err(PyTypeError::new_err(format!("mem is {kind}; '32MiB' or a number of bytes are taken")));
    }
    let wrong = |_| Failure::input(format!("mem={mem} is not an amount of memory"));
    Ok(Budget(mem.extract().map_err(wrong)?))
}

/// How to run a network.
pub struct Settings {
    budget: Budget,
    /// As many as there are processors, and fewer where the budget is too small for them, if none are asked for.
    threads: Option<usize>,
    branches: Branches,
    effort: Option<u8>,
    level: Level,
}

impl Settings {
    /// Judges what was asked for.
    pub fn new(
        mem: Option<&Bound<'_, PyAny>>,
        threads: Option<i64>,
        branches: &str,
        effort: Option<i64>,
        level: Option<&str>,
    ) -> PyResult<Self> {
        let budget = mem.map_or(Ok(Budget::default()), amount)?;
        let threads = threads.map(|n| {
            let known = usize::try_from(n).ok().filter(|n| (1..=MOST_THREADS).contains(n));
            known.ok_or_else(|| Failure::input(format!("{n} threads; 1 to {MOST_THREADS} are supported")))
        });
        let branches = branches.parse::<Branches>().map_err(Failure::input)?;
        if effort.is_some() && branches != Branches::Auto {
            return Err(Failure::input("effort is for branches='auto'").into());
        }
        let effort = effort.map(|n| {
            let known = u8::try_from(n).ok().filter(|n| *n <= 100);
            known.ok_or_else(|| Failure::input(format!("an effort of {n}; 0 to 100 are supported")))
        });
        let level = level.map_or(Ok(Level::best()), Level::named).map_err(Failure::from)?;
        Ok(Self { budget, threads: threads.transpose()?, branches, effort: effort.transpose()?, level })
    }

    /// Tries the threads asked for; if none were, as many as there are processors, then fewer while the budget is too small.
    pub fn with_threads<T>(
        &self,
        options: Options,
        prepare: impl Fn(&Options) -> Result<T, PrepareError>,
    ) -> Result<T, Failure> {
        let processors = available_parallelism().map_or(1, |n| n.get().min(MOST_THREADS));
        let mut threads = self.threads.unwrap_or(processors);
        let options = options
            .with_budget(self.budget)
            .with_branches(self.branches)
            .with_effort(self.effort.unwrap_or(DEFAULT_EFFORT))
            .with_level(self.level);
        loop {
            match prepare(&options.clone().with_threads(threads)) {
                Err(PrepareError::Budget { .. }) if self.threads.is_none() && threads > 1 => threads /= 2,
                done => return Ok(done?),
            }
        }
    }
}

/// What names a model.
pub enum Named {
    /// The default, or that of a scale.
    Default(Option<usize>),
    /// A name or a path, which must have the scale, if there is one.
    Path(PathBuf, Option<usize>),
    /// The bytes of an ONNX file.
    Onnx(Vec<u8>, Option<usize>),
}

impl Named {
    /// Reads the argument: text, a path or bytes.
    pub fn new(model: Option<&Bound<'_, PyAny>>, scale: Option<usize>) -> PyResult<Self> {
        let Some(model) = model else { return Ok(Self::Default(scale)) };
        Ok(match model.cast::<PyBytes>() {
            Ok(bytes) => Self::Onnx(bytes.as_bytes().to_vec(), scale),
            Err(_) => Self::Path(model.extract()?, scale),
        })
    }

    /// Reads and parses the model.
    pub fn load(self) -> Result<Model, Failure> {
        let (model, wanted) = match self {
            Self::Default(None) => return Ok(Model::embedded()?),
            Self::Default(Some(scale)) => {
                let none = || Failure::input(format!("no built-in model has scale {scale}; choose another model"));
                return Model::of_scale(scale)?.ok_or_else(none);
            }
            Self::Path(path, scale) => (Model::find(&path)?, scale),
            Self::Onnx(bytes, scale) => (Model::parse("of bytes", &bytes)?, scale),
        };
        let (name, scale) = (&model.metadata().name, model.metadata().scale);
        match wanted.filter(|wanted| *wanted != scale) {
            Some(wanted) => {
                Err(Failure::input(format!("the model {name} has scale {scale}, not {wanted}; choose another model")))
            }
            None => Ok(model),
        }
    }
}
