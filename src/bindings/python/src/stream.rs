//! Frames in, frames out.

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::errors::fenced;
use crate::upscaler::Upscaler;

/// What `Upscaler.stream` returns.
#[pyclass(frozen, module = "bifocal")]
pub struct Stream {
    upscaler: Py<Upscaler>,
    frames: Py<PyIterator>,
    out: Option<Py<PyAny>>,
}

impl Stream {
    /// Of these frames.
    pub fn new(upscaler: Py<Upscaler>, frames: Py<PyIterator>, out: Option<Py<PyAny>>) -> Self {
        Self { upscaler, frames, out }
    }
}

#[pymethods]
impl Stream {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArrayDyn<u8>>>> {
        fenced(|| {
            let Some(frame) = self.frames.bind(py).clone().next() else { return Ok(None) };
            self.upscaler.get().upscale(&frame?, self.out.as_ref().map(|out| out.bind(py))).map(Some)
        })
    }
}
