//! The reference: the typed graph, evaluated by tract in f32, without its optimiser.

use tract_onnx::prelude::*;

use super::ModelError;
use super::file;
use super::load::{fenced, reason, typed, unchecked_f32};

/// An upscaled frame as tract evaluates an ONNX file in f32, both branches, unoptimised: what every plan is compared with.
/// `pixels` are `width * height` bytes of luma, both multiples of the window grid, or as many pixels of three bytes.
///
/// Slow (seconds for a small frame): for tests and for `models verify`.
pub fn evaluate(name: &str, bytes: &[u8], width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>, ModelError> {
    fenced(name, || {
        let mut proto = file::decode(bytes)?;
        file::plain(&mut proto)?;
        let plane = width * height;
        let channels = pixels.len() / plane.max(1);
        let shape = [1, channels, height, width];
        let plan = typed(&proto, bytes.len(), shape)?.typed.into_runnable().map_err(reason)?;
        let planar = (0..plane * channels).map(|i| pixels[i % plane * channels + i / plane]);
        let real: Vec<f32> = planar.map(|v| f32::from(v) / 255.0).collect();
        let input = Tensor::from_shape(&shape, &real).map_err(reason)?;
        let output = plan.run(tvec!(input.into_tvalue())).map_err(reason)?;
        let real = unchecked_f32(&output[0]);
        let plane = real.len() / channels.max(1);
        let interleaved = (0..real.len()).map(|i| real[i % channels * plane + i / channels]);
        Ok(interleaved.map(|v| (v * 255.0).round_ties_even().clamp(0.0, 255.0) as u8).collect())
    })
}
