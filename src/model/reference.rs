//! The reference: the typed graph, evaluated by tract in f32, without its optimiser.

use tract_onnx::prelude::*;

use super::ModelError;
use super::file;
use super::load::{fenced, reason, typed, unchecked_f32};

/// Upscaled luma of one frame as tract evaluates an ONNX file in f32, both branches, unoptimised: what every plan is
/// compared with. `luma` is `width * height` bytes, both multiples of the window grid.
///
/// Slow (seconds for a small frame): for tests and for `models verify`.
pub fn evaluate(name: &str, bytes: &[u8], width: usize, height: usize, luma: &[u8]) -> Result<Vec<u8>, ModelError> {
    fenced(name, || {
        let mut proto = file::decode(bytes)?;
        file::plain(&mut proto)?;
        let shape = [1, 1, height, width];
        let plan = typed(&proto, bytes.len(), shape)?.typed.into_runnable().map_err(reason)?;
        let real: Vec<f32> = luma.iter().map(|&v| f32::from(v) / 255.0).collect();
        let input = Tensor::from_shape(&shape, &real).map_err(reason)?;
        let output = plan.run(tvec!(input.into_tvalue())).map_err(reason)?;
        let real = unchecked_f32(&output[0]);
        Ok(real.iter().map(|v| (v * 255.0).round_ties_even().clamp(0.0, 255.0) as u8).collect())
    })
}
