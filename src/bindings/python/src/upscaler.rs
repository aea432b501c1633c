//! `bifocal.Upscaler`.

use std::mem;
use std::process;
use std::sync::{Mutex, PoisonError};

use bifocal::{Engine, Model};
use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::arguments::{self, kind};
use crate::arrays::{Frame, Said, Words};
use crate::catalogue::dictionary;
use crate::errors::{Failure, detached, fenced};
use crate::settings::{Named, Settings};
use crate::stream::Stream;

/// Upscales frames, which are NumPy arrays of uint8.
///
/// The network is prepared for the first frame, and anew for one of another size or format; what it allocates then is within
/// mem, and nothing is allocated after that but the arrays that are returned, which out= saves too.
///
/// An Upscaler upscales one frame at a time: for several at once make several. Other threads of Python run meanwhile.
///
///     model     a name of bifocal.models(), the path of an ONNX file, or its bytes; by default the first of models()
///     scale     factor on both sides: chooses a model, or says which one it must have
///     mem       the most that the engine may allocate: "32MiB", or a number of bytes (default: 32 MiB)
///     threads   1 to 16 (default: as many as there are processors, fewer where mem is too small for them)
///     branches  "both", "cnn", "transformer", or "auto": what each window of the picture needs
///     effort    with branches="auto": 0 to 100 (default: 75)
///     level     kernels (default: the best of this processor)
///     format    "grey", "greyalpha", "rgb", "rgba", "bgr", "bgra" (default: by the shape), or "yuv420", "nv12"
///     size      of YUV frames: (width, height), where their rows are longer than their pixels
///     output    of YUV frames: "rgb" or "bgr" (default: as the frame)
///     matrix    of output: "bt601" (the default) or "bt709"
///     range     of output: "limited" (the default) or "full"
///     siting    of chroma in YUV frames: "left" (the default), "centre" or "topleft"
///
/// A camera's YUV 4:2:0 with padded rows, as picamera2's capture_array("lores") returns it, is an array of height * 3 / 2 rows of
/// the padded length: it looks like a wider picture. Say size=(width, height), and do not cut it: two rows of chroma share
/// a row of the array.
#[pyclass(frozen, module = "bifocal")]
pub struct Upscaler {
    model: Model,
    settings: Settings,
    said: Said,
    prepared: Mutex<Option<Prepared>>,
    /// The arguments, for `pickle` and `repr`.
    arguments: (Py<PyAny>, Py<PyDict>),
}

/// The engine of the last frame.
struct Prepared {
    frame: Frame,
    engine: Engine,
    /// The engine's threads are in this process, and not in one that has been forked from it.
    process: u32,
}

/// An array of bytes.
fn bytes<'a, 'py>(what: &str, given: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyArrayDyn<u8>>> {
    given.cast::<PyArrayDyn<u8>>().map_err(|_| {
        let array = given.cast::<PyUntypedArray>().map(|array| format!("an array of {}", array.dtype()));
        let kind = array.unwrap_or_else(|_| kind(given));
        PyTypeError::new_err(format!("{what} is {kind}; NumPy arrays of uint8 are taken"))
    })
}

/// NumPy's `zeros`, which says so where there is no memory; that of the crate panics.
fn zeros(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static ZEROS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    ZEROS.import(py, "numpy", "zeros")
}

/// A new array for a result.
fn array<'py>(py: Python<'py>, shape: &[usize]) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
    let made = zeros(py)?.call1((PyTuple::new(py, shape)?, "uint8")).map_err(|error| match error {
        error if error.is_instance_of::<PyMemoryError>(py) => {
            Failure::memory(shape.iter().fold(1, |bytes, side| bytes.saturating_mul(*side))).into()
        }
        error => error,
    })?;
    Ok(made.cast_into()?)
}

impl Upscaler {
    /// The engine for such frames, prepared anew only if the last were different.
    fn engine<'a>(&self, slot: &'a mut Option<Prepared>, frame: &Frame) -> Result<&'a mut Prepared, Failure> {
        if let Some(foreign) = slot.take_if(|prepared| prepared.process != process::id()) {
            mem::forget(foreign);
        }
        // The budget is for one engine: the old one goes first.
        drop(slot.take_if(|prepared| prepared.frame != *frame));
        if slot.is_none() {
            let engine = self.settings.prepare(frame.options(), |options| Engine::prepare(&self.model, options))?;
            *slot = Some(Prepared { frame: *frame, engine, process: process::id() });
        }
        slot.as_mut().ok_or_else(|| Failure::input("no engine"))
    }

    /// Upscales a frame into `out`, or a new array.
    pub fn upscale<'py>(
        &self,
        frame: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
        let py = frame.py();
        zeros(py)?; // without NumPy there are no arrays to look for
        let frame = bytes("frame", frame)?;
        let what = self.said.frame(frame.shape())?;
        let shape = what.output_shape(self.model.metadata().scale);
        let out = match out {
            Some(out) => bytes("out", out)?.clone(),
            None => {
                self.prepare(py, &what)?; // no array for a frame that the engine refuses
                array(py, &shape)?
            }
        };
        what.check_output(&shape, out.shape())?;
        let input = frame.try_readonly().map_err(|_| Failure::input("frame is being written to"))?;
        let mut output = out.try_readwrite().map_err(|error| {
            Failure::input(format!("out cannot be written to: {error}; it must be writeable, and apart from the frame"))
        })?;
        let (input, output) = (input.as_array(), output.as_array_mut());
        detached(py, || {
            let mut slot = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            let Prepared { engine, .. } = self.engine(&mut slot, &what)?;
            what.run(engine, &input, output)
        })?;
        Ok(out)
    }

    fn prepare(&self, py: Python<'_>, frame: &Frame) -> PyResult<()> {
        detached(py, || {
            let mut slot = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            self.engine(&mut slot, frame).map(drop)
        })
    }
}

#[pymethods]
impl Upscaler {
    #[new]
    #[pyo3(signature = (model=None, *, scale=None, mem=None, threads=None, branches="both", effort=None, level=None,
        format=None, size=None, output=None, matrix=None, range=None, siting=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords")]
    fn new(
        py: Python<'_>,
        model: Option<&Bound<'_, PyAny>>,
        scale: Option<&Bound<'_, PyAny>>,
        mem: Option<&Bound<'_, PyAny>>,
        threads: Option<&Bound<'_, PyAny>>,
        branches: &str,
        effort: Option<&Bound<'_, PyAny>>,
        level: Option<&str>,
        format: Option<&str>,
        size: Option<&Bound<'_, PyAny>>,
        output: Option<&str>,
        matrix: Option<&str>,
        range: Option<&str>,
        siting: Option<&str>,
    ) -> PyResult<Self> {
        fenced(|| {
            let [scale, threads, effort] =
                arguments::numbers([("scale", scale), ("threads", threads), ("effort", effort)])?;
            let kept = [&scale, &threads, &effort].map(|number| number.as_ref().and_then(|n| n.within(0..=usize::MAX)));
            let settings = Settings::new(mem, threads.as_ref(), branches, effort.as_ref(), level)?;
            let size = size.map(arguments::size).transpose()?;
            let said = Said::new(&Words { format, size, output, matrix, range, siting })?;
            let named = Named::new(model, scale)?;
            let loaded = detached(py, || named.load())?;
            let [scale, threads, effort] = kept;
            let size = size.map(|size| (size.width, size.height));
            let keywords = PyDict::new(py);
            macro_rules! keep {
                ($($name:ident),+) => { $(if let Some(value) = &$name {
                    keywords.set_item(stringify!($name), value)?;
                })+ };
            }
            keep!(scale, mem, threads, effort, level, format, size, output, matrix, range, siting);
            if branches != "both" {
                keywords.set_item("branches", branches)?;
            }
            let model = model.map_or_else(|| py.None(), |model| model.clone().unbind());
            Ok(Self {
                model: loaded,
                settings,
                said,
                prepared: Mutex::new(None),
                arguments: (model, keywords.unbind()),
            })
        })
    }

    /// Upscales a frame, and returns out, or a new array.
    #[pyo3(signature = (frame, out=None))]
    fn __call__<'py>(
        &self,
        frame: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
        fenced(|| self.upscale(frame, out))
    }

    /// An iterator over the upscaled frames of an iterable, each made when it is asked for. With out every one of them is
    /// that array, so that nothing is allocated: use it before asking for the next.
    #[pyo3(signature = (frames, out=None))]
    fn stream(slf: Py<Self>, frames: &Bound<'_, PyAny>, out: Option<Py<PyAny>>) -> PyResult<Stream> {
        Ok(Stream::new(slf, frames.try_iter()?.unbind(), out))
    }

    /// Name of the model.
    #[getter]
    fn model(&self) -> &str {
        &self.model.metadata().name
    }

    /// Factor on both sides.
    #[getter]
    fn scale(&self) -> usize {
        self.model.metadata().scale
    }

    /// The tile and memory plan of the engine, as bifocal.plan() returns it; None before the first frame.
    #[getter]
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        fenced(|| {
            let text = detached(py, || {
                let slot = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(slot.as_ref().map(|prepared| serde_json::json!(prepared.engine.report())))
            })?;
            text.map(|report| dictionary(py, &report)).transpose()
        })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (model, keywords) = &self.arguments;
        let mut shown = vec![match model.bind(py).cast::<pyo3::types::PyBytes>() {
            Ok(bytes) => format!("<{} bytes>", bytes.as_bytes().len()),
            Err(_) if model.is_none(py) => format!("'{}'", self.model()),
            Err(_) => model.bind(py).repr()?.to_string(),
        }];
        for (name, value) in keywords.bind(py) {
            shown.push(format!("{name}={}", value.repr()?));
        }
        Ok(format!("Upscaler({})", shown.join(", ")))
    }

    /// For pickle and copy: the engine is prepared anew where it arrives.
    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let (model, keywords) = &self.arguments;
        Ok((PyTuple::new(py, [model.bind(py)])?, keywords.bind(py).copy()?))
    }
}
