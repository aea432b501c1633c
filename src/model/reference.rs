//! The judge: the typed graph, evaluated by tract in f32, without its optimiser.

use tract_onnx::prelude::*;

use super::ModelError;
use super::load::{parse, quietly, unchecked_f32};

/// Evaluates the file's graph on one frame of luma: `width * height` bytes, both multiples of the window grid.
///
/// Slow (seconds for a small frame): for tests and for `models verify`.
pub(super) fn evaluate(
    name: &str,
    bytes: &[u8],
    width: usize,
    height: usize,
    luma: &[u8],
) -> Result<Vec<u8>, ModelError> {
    let fail = |reason: String| ModelError::Parse { name: name.to_string(), reason };
    let run = || -> Result<Vec<u8>, String> {
        let (onnx, proto) = parse(bytes)?;
        let text = |e: TractError| e.to_string();
        let mut model = onnx.model_for_proto_model(&proto).map_err(text)?;
        model.set_input_fact(0, f32::fact([1, 1, height, width]).into()).map_err(text)?;
        let plan = model.into_typed().and_then(TypedModel::into_runnable).map_err(text)?;
        let real: Vec<f32> = luma.iter().map(|&v| f32::from(v) / 255.0).collect();
        let input = Tensor::from_shape(&[1, 1, height, width], &real).map_err(text)?;
        let output = plan.run(tvec!(input.into_tvalue())).map_err(text)?;
        let real = unchecked_f32(&output[0]);
        Ok(real.iter().map(|v| (v * 255.0).round_ties_even().clamp(0.0, 255.0) as u8).collect())
    };
    quietly(run).unwrap_or_else(|| Err("the evaluation failed".into())).map_err(fail)
}
