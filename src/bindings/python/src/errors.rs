//! What goes wrong, as Python's exceptions: one line of text each, that of the command line.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bifocal::{BadBudget, FrameError, ModelError, PrepareError, PushError, Unavailable};
use pyo3::exceptions::{PyException, PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// Why something failed, as scripts tell it apart.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Something failed on the way.
    Failed,
    /// What was asked for, or the frame, is wrong.
    Input,
    /// The budget is too small, or the system gives less.
    Budget,
}

/// A failure.
pub struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    /// Of what was asked for.
    pub fn input(message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, message: message.into() }
    }

    /// Of memory that the system does not give.
    pub fn memory(bytes: usize) -> Self {
        PrepareError::Memory(bytes).into()
    }
}

/// The exceptions, in the order of [`Kind`].
struct Exceptions([Py<PyType>; 3]);

static EXCEPTIONS: PyOnceLock<Exceptions> = PyOnceLock::new();

impl Exceptions {
    fn make<'py>(py: Python<'py>) -> PyResult<Self> {
        // As a `class` statement does it, which alone may name two bases.
        let class = |name: &str, bases: &[Bound<'py, PyType>], doc: &str| -> PyResult<Bound<'py, PyType>> {
            let own = PyDict::new(py);
            own.set_item("__module__", "bifocal")?;
            own.set_item("__doc__", doc)?;
            Ok(py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, own))?.cast_into()?)
        };
        let error = class("Error", &[py.get_type::<PyException>()], "Something failed. The text is one line.")?;
        let input = class(
            "InputError",
            &[error.clone(), py.get_type::<PyValueError>()],
            "What was asked for, or the frame, is wrong.",
        )?;
        let budget = class(
            "BudgetError",
            &[error.clone(), py.get_type::<PyMemoryError>()],
            "The memory budget is too small, and the text says the least that works; or the system gives less.",
        )?;
        Ok(Self([error, input, budget].map(Bound::unbind)))
    }
}

/// Adds the exceptions to the module.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let Exceptions(types) = EXCEPTIONS.get_or_try_init(py, || Exceptions::make(py))?;
    types.iter().zip(["Error", "InputError", "BudgetError"]).try_for_each(|(own, name)| module.add(name, own))
}

impl From<Failure> for PyErr {
    fn from(Failure { kind, message }: Failure) -> Self {
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Python::attach(|py| match EXCEPTIONS.get_or_try_init(py, || Exceptions::make(py)) {
            Ok(Exceptions(types)) => Self::from_type(types[kind as usize].bind(py).clone(), message),
            Err(error) => error,
        })
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let kind = match error {
            PrepareError::Budget { .. } | PrepareError::Memory(_) => Kind::Budget,
            PrepareError::Spawn(_) => Kind::Failed,
            _ => Kind::Input,
        };
        Self { kind, message: error.to_string() }
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        let kind = if matches!(error, FrameError::Network(_)) { Kind::Failed } else { Kind::Input };
        Self { kind, message: error.to_string() }
    }
}

impl From<PushError<Self>> for Failure {
    fn from(error: PushError<Self>) -> Self {
        match error {
            PushError::Receiver(failure) => failure,
            PushError::Network(reason) => Self { kind: Kind::Failed, message: format!("the network failed: {reason}") },
            PushError::RowLength { given, needed } => {
                Self::input(format!("a row of {given} bytes; the frame's have {needed}"))
            }
            _ => Self { kind: Kind::Failed, message: "the engine takes whole frames, not rows".into() },
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

macro_rules! input {
    ($($error:ty),+) => { $(impl From<$error> for Failure {
        fn from(error: $error) -> Self { Self::input(error.to_string()) }
    })+ };
}
input!(ModelError, BadBudget, Unavailable);

/// What a panic says: a bug, and an exception like others.
fn bug(panic: Box<dyn Any + Send>) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let what = text.and_then(|text| text.lines().next()).unwrap_or("no message");
    Failure { kind: Kind::Failed, message: format!("internal error: {what}; please report it") }
}

/// Every call from Python is in here. What PyO3 makes of a panic is no `Exception`, and ends programs that handle all of those.
pub fn fenced<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(bug(panic).into()))
}

/// Does work that needs nothing of Python, while other threads of Python run.
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Failure> + Send) -> PyResult<T> {
    let done = py.detach(|| catch_unwind(AssertUnwindSafe(work)).map_err(bug));
    Ok(done.flatten()?)
}
