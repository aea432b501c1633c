//! What may be asked for: the command line's options, with the same defaults.

use std::path::PathBuf;

use bifocal::{Branches, Budget, DEFAULT_EFFORT, Level, MOST_THREADS, Model, Options, PrepareError, Threads};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

use crate::arguments::{LONGEST, Whole, kind, text};
use crate::errors::Failure;

/// An amount of memory: a number of bytes, or text such as `32MiB`.
fn amount(mem: &Bound<'_, PyAny>) -> PyResult<Budget> {
    if let Ok(given) = mem.extract::<PyBackedStr>() {
        return Ok(text("mem", &given)?.parse().map_err(Failure::from)?);
    }
    let wrong = |_| PyTypeError::new_err(format!("mem is {}; '32MiB' or a number of bytes are taken", kind(mem)));
    let bytes = Whole::new("mem", mem).map_err(wrong)?;
    let none = || Failure::input(format!("mem={} is not an amount of memory", bytes.text));
    Ok(Budget(bytes.within(0..=usize::MAX).ok_or_else(none)?))
}

/// What reading any model takes, and how often it holds its file.
const READING: usize = 24 << 20;
const HELD: usize = 4;

/// Is there memory to read a model of so many bytes? Whoever reads it does not ask, and without memory the process ends.
pub fn ask(model: usize) -> Result<(), Failure> {
    let bytes = model.saturating_mul(HELD).saturating_add(READING);
    let mut trial = Vec::<u8>::new();
    let given = trial.try_reserve_exact(bytes);
    // What nobody looks at, a compiler need not ask for.
    std::hint::black_box(&mut trial);
    given.map_err(|_| Failure::memory(bytes))
}

/// How to run a network.
pub struct Settings {
    threads: Threads,
    /// All else that is not the frame's.
    budget: Budget,
    branches: Branches,
    effort: Option<u8>,
    level: Level,
}

impl Settings {
    /// Judges what was asked for.
    pub fn new(
        mem: Option<&Bound<'_, PyAny>>,
        threads: Option<&Whole>,
        branches: &str,
        effort: Option<&Whole>,
        level: Option<&str>,
    ) -> PyResult<Self> {
        let budget = mem.map_or(Ok(Budget::default()), amount)?;
        let threads = threads.map(|n| {
            let wrong = || Failure::input(format!("{} threads; 1 to {MOST_THREADS} are supported", n.text));
            n.within(1..=MOST_THREADS).map(Threads::Fixed).ok_or_else(wrong)
        });
        let branches = text("branches", branches)?.parse::<Branches>().map_err(Failure::input)?;
        if effort.is_some() && branches != Branches::Auto {
            return Err(Failure::input("effort is for branches='auto'").into());
        }
        let effort = effort.map(|n| {
            let wrong = || Failure::input(format!("an effort of {}; 0 to 100 are supported", n.text));
            n.within(0..=100).and_then(|n| n.try_into().ok()).ok_or_else(wrong)
        });
        let named = |level| Level::named(text("level", level)?).map_err(Failure::from);
        let level = level.map_or(Ok(Level::best()), named)?;
        Ok(Self {
            budget,
            threads: threads.transpose()?.unwrap_or_default(),
            branches,
            effort: effort.transpose()?,
            level,
        })
    }

    /// Prepares `options` with all that was asked for.
    pub fn prepare<T>(
        &self,
        options: Options,
        prepare: impl Fn(&Options) -> Result<T, PrepareError>,
    ) -> Result<T, Failure> {
        let options = options
            .with_budget(self.budget)
            .with_branches(self.branches)
            .with_effort(self.effort.unwrap_or(DEFAULT_EFFORT))
            .with_level(self.level);
        Ok(self.threads.prepare(&options, prepare)?.1)
    }
}

/// What names a model.
pub enum Named {
    /// The default, or that of a scale.
    Default(Option<Whole>),
    /// A name or a path, which must have the scale, if there is one.
    Path(PathBuf, Option<Whole>),
    /// The bytes of an ONNX file.
    Onnx(PyBackedBytes, Option<Whole>),
}

impl Named {
    /// Reads the argument: text, a path or bytes.
    pub fn new(model: Option<&Bound<'_, PyAny>>, scale: Option<Whole>) -> PyResult<Self> {
        let Some(model) = model else { return Ok(Self::Default(scale)) };
        if model.is_instance_of::<PyBytes>() {
            return Ok(Self::Onnx(model.extract()?, scale));
        }
        if model.len().is_ok_and(|length| length > LONGEST) {
            return Err(Failure::input(format!("model is a path of more than {LONGEST} characters")).into());
        }
        Ok(Self::Path(model.extract()?, scale))
    }

    /// Reads and parses the model.
    pub fn load(self) -> Result<Model, Failure> {
        ask(match &self {
            Self::Default(_) => 0,
            Self::Path(path, _) => std::fs::metadata(path).map_or(0, |file| file.len() as usize),
            Self::Onnx(bytes, _) => bytes.len(),
        })?;
        let (model, wanted) = match self {
            Self::Default(None) => return Ok(Model::embedded()?),
            Self::Default(Some(scale)) => {
                let none =
                    || Failure::input(format!("no built-in model has scale {}; choose another model", scale.text));
                let found = scale.within(0..=usize::MAX).map_or(Ok(None), Model::of_scale)?;
                return found.ok_or_else(none);
            }
            Self::Path(path, scale) => (Model::find(&path)?, scale),
            Self::Onnx(bytes, scale) => (Model::parse("of bytes", &bytes)?, scale),
        };
        let (name, scale) = (&model.metadata().name, model.metadata().scale);
        match wanted.filter(|wanted| wanted.within(scale..=scale).is_none()) {
            Some(Whole { text, .. }) => {
                Err(Failure::input(format!("the model {name} has scale {scale}, not {text}; choose another model")))
            }
            None => Ok(model),
        }
    }
}
