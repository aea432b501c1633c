//! The Python package `bifocal`: the library on NumPy arrays, read and written where they lie.
//!
//! `arguments` reads numbers and texts, `arrays` knows how frames lie in arrays, `settings` what may be asked for, `upscaler` keeps the engine, `errors` are
//! Python's exceptions.

mod arguments;
mod arrays;
mod catalogue;
mod errors;
mod settings;
mod stream;
mod upscaler;

use pyo3::prelude::*;

/// Upscales pictures, video and camera feeds with a neural network, inside a fixed memory budget.
#[pymodule(name = "bifocal")]
fn python(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Panics become exceptions; those of the model's parser are ordinary errors of a damaged file.
    std::panic::set_hook(Box::new(|_| {}));
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<upscaler::Upscaler>()?;
    module.add_function(wrap_pyfunction!(catalogue::models, module)?)?;
    module.add_function(wrap_pyfunction!(catalogue::plan, module)?)?;
    errors::add_to(module)
}
