//! The operators that are supported, and those of them that compute value by value.

use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::Cast;
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math::{add, div, max, min, mul, sub};
use tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_i8, quantize_linear_u8};

use super::call::{Call, FLOATS, INT, axis};
use super::{axes, spatial, tensor};
use crate::model::UNSUPPORTED;

/// Wires a node.
pub(super) fn wire(call: &mut Call) -> TractResult<OutletId> {
    match call.operator().unwrap_or_default() {
        "Add" => pair(call, add()),
        "AveragePool" => spatial::average_pool(call),
        "Cast" => cast(call),
        "Clip" => clip(call),
        "Concat" => axes::concat(call),
        "Constant" => constant(call),
        "ConstantOfShape" => axes::constant_of_shape(call),
        "Conv" => spatial::conv(call),
        "DepthToSpace" => spatial::depth_to_space(call),
        "DequantizeLinear" => dequantize(call),
        "Div" => divide(call),
        "Expand" => axes::expand(call),
        "Flatten" => axes::flatten(call),
        "Gather" => axes::gather(call),
        "Identity" => call.input(0),
        "MatMul" => product(call),
        "Max" => fold(call, max()),
        "Min" => fold(call, min()),
        "Mul" => pair(call, mul()),
        "Pad" => spatial::pad(call),
        "QuantizeLinear" => quantize(call),
        "Relu" => relu(call),
        "Reshape" => axes::reshape(call),
        "Resize" => spatial::resize(call),
        "Shape" => axes::shape(call),
        "Slice" => axes::slice(call),
        "SpaceToDepth" => spatial::space_to_depth(call),
        "Squeeze" => axes::squeeze(call),
        "Sub" => pair(call, sub()),
        "Sum" => fold(call, add()),
        "Transpose" => axes::transpose(call),
        "Unsqueeze" => axes::unsqueeze(call),
        _ => bail!(UNSUPPORTED),
    }
}

fn pair(call: &mut Call, op: TypedBinOp) -> TractResult<OutletId> {
    let inputs = [call.input(0)?, call.input(1)?];
    call.binary(None, op, inputs)
}

/// An operation on its inputs, from left to right.
fn fold(call: &mut Call, op: TypedBinOp) -> TractResult<OutletId> {
    let inputs = call.inputs()?;
    let [first, middle @ .., last] = &inputs[..] else { bail!("two inputs are needed") };
    let mut value = *first;
    for (i, next) in middle.iter().enumerate() {
        value = call.binary(Some(&i.to_string()), op.clone(), [value, *next])?;
    }
    call.binary(None, op, [value, *last])
}

fn divide(call: &mut Call) -> TractResult<OutletId> {
    if call.kind(call.input(1)?)?.is_integer() {
        let divisor = call.constant(1)?.context("input 1 is missing")?;
        let positive = divisor.cast_to::<i64>()?.to_plain_array_view::<i64>()?.iter().all(|d| *d > 0);
        ensure!(positive, "division by what is not positive");
    }
    pair(call, div())
}

/// A constant of the type and rank of `like`, for a bound on it.
fn bound(call: &mut Call, step: &str, bound: f32, like: OutletId) -> TractResult<OutletId> {
    let shape = vec![1; call.shape(like)?.len()];
    let value = Tensor::from_shape(&shape, &[bound])?.cast_to_dt(call.kind(like)?)?.into_owned();
    call.wiring.constant(step, value)
}

fn relu(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let zero = bound(call, "zero", 0.0, x)?;
    call.binary(None, max(), [x, zero])
}

fn clip(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let [low, high] = if call.opset() < 11 {
        let mut attribute = |name| call.float(name)?.map(|limit| bound(call, name, limit, x)).transpose();
        [attribute("min")?, attribute("max")?]
    } else {
        [call.optional(1), call.optional(2)]
    };
    match (low, high) {
        (None, None) => Ok(x),
        (Some(low), None) => call.binary(None, max(), [x, low]),
        (None, Some(high)) => call.binary(None, min(), [x, high]),
        (Some(low), Some(high)) => {
            let x = call.binary(Some("min"), max(), [x, low])?;
            call.binary(None, min(), [x, high])
        }
    }
}

fn cast(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let number = call.int("to", 0)?;
    let to = tensor::datum_type(number).with_context(|| format!("to type {number}, which is not supported"))?;
    if call.kind(x)? == to {
        return Ok(x);
    }
    call.result(Cast::new(to), &[x])
}

fn constant(call: &mut Call) -> TractResult<OutletId> {
    let value = if let Some(tensor) = call.tensor("value")? {
        tensor
    } else if let Some(a) = call.attribute("value_int", INT)? {
        tensor0(a.i)
    } else if let Some(ints) = call.ints("value_ints")? {
        tensor1(ints)
    } else if let Some(value) = call.float("value_float")? {
        tensor0(value)
    } else if let Some(a) = call.attribute("value_floats", FLOATS)? {
        tensor1(&a.floats)
    } else {
        bail!("a constant that is not of numbers")
    };
    call.fold(value)
}

/// Scales and zero points: f32, and integers of the quantised type, as constants.
fn scales(call: &Call, kind: Option<DatumType>) -> TractResult<(Vec<f32>, Arc<Tensor>)> {
    ensure!(call.int("block_size", 0)? == 0, "scales by block");
    ensure!(call.int("output_dtype", 0)? == 0, "a type that the zero point does not give");
    let scale = call.constant(1)?.context("the scale is missing")?;
    ensure!(scale.datum_type() == f32::datum_type(), "the scale is not f32");
    let kind = kind.unwrap_or(u8::datum_type());
    let zero = match call.constant(2)? {
        Some(zero) => zero,
        None => Tensor::zero_scalar_dt(kind)?.into_arc_tensor(),
    };
    let scales: Vec<f32> = scale.to_plain_array_view::<f32>()?.iter().copied().collect();
    ensure!(!scales.is_empty() && zero.len() > 0, "no scale or no zero point");
    Ok((scales, zero))
}

/// One value of a constant.
fn only(tensor: &Tensor) -> TractResult<i32> {
    let wide = tensor.cast_to::<i32>()?;
    wide.to_plain_array_view::<i32>()?.first().copied().context("an empty constant")
}

fn quantize(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    ensure!(call.kind(x)? == f32::datum_type(), "its input is not f32");
    let (scales, zero) = scales(call, None)?;
    ensure!(scales.len() == 1 && zero.len() == 1, "one scale for the whole tensor is needed");
    let inverse = scales[0].recip();
    let op = match zero.datum_type() {
        DatumType::U8 => quantize_linear_u8(inverse, only(&zero)? as u8),
        DatumType::I8 => quantize_linear_i8(inverse, only(&zero)? as i8),
        _ => bail!("a zero point that is not 8-bit"),
    };
    call.result(op, &[x])
}

fn dequantize(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let kind = call.kind(x)?;
    let integers = [u8::datum_type(), i8::datum_type(), i32::datum_type()];
    ensure!(integers.contains(&kind), "its input is of type {kind:?}");
    let (scales, zero) = scales(call, Some(kind))?;
    ensure!(zero.datum_type() == kind, "a zero point of another type than its input");
    if scales.len() == 1 && zero.len() == 1 {
        return call.result(DequantizeLinearF32::new(scales[0], only(&zero)?), &[x]);
    }
    // (x - zero point) * scale, along one axis.
    let dims = call.shape(x)?;
    let axis = axis(call.int("axis", 1)?, dims.len())?;
    let mut along = |name, values: &Tensor| {
        ensure!([1, dims[axis]].contains(&values.len()), "as many scales as the axis is long are needed");
        let mut shape = vec![1; dims.len()];
        shape[axis] = values.len();
        let values = values.cast_to::<f32>()?.into_owned().into_shape(&shape)?;
        call.wiring.constant(name, values)
    };
    let (scale, zero) = (along("scale", &tensor1(&scales))?, along("zero point", &zero)?);
    let real = call.step("cast", Cast::new(f32::datum_type()), &[x])?;
    let real = call.binary(Some("sub"), sub(), [real, zero])?;
    call.binary(None, mul(), [real, scale])
}

/// A product of matrices, for each place on the axes before the last two.
fn product(call: &mut Call) -> TractResult<OutletId> {
    let inputs = [call.input(0)?, call.input(1)?];
    let [a, b] = [call.shape(inputs[0])?, call.shape(inputs[1])?];
    let kind = call.kind(inputs[0])?;
    ensure!(kind == f32::datum_type() && call.kind(inputs[1])? == kind, "its inputs are not f32");
    ensure!(a.len() == b.len() && a.len() >= 2, "a product of {a:?} and {b:?}");
    let each = a.len() - 2;
    let broadcast = a[..each].iter().zip(&b[..each]).all(|(a, b)| a == b || *a == 1 || *b == 1);
    ensure!(broadcast && a[each + 1] == b[each], "a product of {a:?} and {b:?}");
    let each: String = ('a'..).take(each).collect();
    let axes: AxesMapping = format!("{each}mk,{each}kn->{each}mn").parse()?;
    call.result(EinSum::new(axes, kind), &inputs)
}
