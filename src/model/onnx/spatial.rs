//! Operators on the rows and columns of a picture.

use tract_core::internal::*;
use tract_core::ops::array::{MultiBroadcastTo, Pad, PadMode};
use tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::nn::DataFormat;

use super::axes::{into_shape, places, rearrange};
use super::call::{Call, axis};

/// Resizing to a longer axis is refused.
const LONGEST_AXIS: usize = 1 << 20;

/// Batch, channels, rows, columns.
fn picture(call: &Call, x: OutletId) -> TractResult<[usize; 4]> {
    let shape = call.shape(x)?;
    <[usize; 4]>::try_from(&shape[..]).ok().with_context(|| format!("{shape:?} is not a picture"))
}

/// The padding of a convolution, or of a pool, which may end with a part of a kernel (`ceil_mode`).
fn padding(call: &Call, pool: bool) -> TractResult<PaddingSpec> {
    let ceil = call.int("ceil_mode", 0)? != 0;
    let explicit = |pads: TVec<usize>| {
        let (before, after) = (pads[..2].into(), pads[2..].into());
        match pool {
            true => PaddingSpec::ExplicitOnnxPool(before, after, ceil),
            false => PaddingSpec::Explicit(before, after),
        }
    };
    if let Some(pads) = call.sizes("pads", 4, 0)? {
        return Ok(explicit(pads));
    }
    match call.text("auto_pad", "NOTSET")? {
        "NOTSET" => Ok(explicit(tvec!(0; 4))),
        "VALID" => Ok(PaddingSpec::Valid),
        "SAME_UPPER" => Ok(PaddingSpec::SameUpper),
        "SAME_LOWER" => Ok(PaddingSpec::SameLower),
        other => bail!("auto_pad {other}"),
    }
}

/// What convolutions and pools share. The kernel must fit into the padded picture.
fn spec(call: &Call, kernel: TVec<usize>, from: [usize; 4], outputs: usize, pool: bool) -> TractResult<PoolSpec> {
    let padding = padding(call, pool)?;
    let (strides, dilations) = (call.sizes("strides", 2, 1)?, call.sizes("dilations", 2, 1)?);
    for (i, size) in [from[2], from[3]].into_iter().enumerate() {
        let reach = (kernel[i] - 1) * dilations.as_ref().map_or(1, |d| d[i]) + 1;
        let padded = match &padding {
            PaddingSpec::Explicit(before, after) | PaddingSpec::ExplicitOnnxPool(before, after, _) => {
                size + before[i] + after[i]
            }
            PaddingSpec::Valid => size,
            _ => reach,
        };
        ensure!(reach <= padded, "kernel {kernel:?} on {from:?}");
    }
    Ok(PoolSpec::new(DataFormat::NCHW, kernel, padding, dilations, strides, from[1], outputs))
}

pub(super) fn conv(call: &mut Call) -> TractResult<OutletId> {
    let (x, kernel) = (call.input(0)?, call.input(1)?);
    let from = picture(call, x)?;
    let [outputs, each, sides @ ..] = picture(call, kernel)?;
    let sides = TVec::from(&sides[..]);
    ensure!(!sides.contains(&0), "kernel {sides:?}");
    if let Some(declared) = call.sizes("kernel_shape", 2, 1)? {
        ensure!(declared == sides, "kernel {declared:?} with weights for {sides:?}");
    }
    let group = call.size("group", call.int("group", 1)?, 1)?;
    ensure!(each.checked_mul(group) == Some(from[1]), "{} channels, weights for {each} in {group} groups", from[1]);
    ensure!(outputs % group == 0, "{outputs} outputs in {group} groups");
    let spec = spec(call, sides, from, outputs, false)?;
    let bias = bias(call, outputs)?;
    call.result(Conv::new(spec, KernelFormat::OIHW, group, None), &[x, kernel, bias])
}

/// The bias; one number for all outputs has no axis.
fn bias(call: &mut Call, outputs: usize) -> TractResult<OutletId> {
    let Some(bias) = call.optional(2) else { return call.wiring.constant("bias", tensor0(0f32)) };
    let shape = call.shape(bias)?;
    ensure!(shape == [outputs] && call.kind(bias)? == f32::datum_type(), "{shape:?} biases for {outputs} outputs");
    if outputs == 1 { call.step("bias", AxisOp::Rm(0), &[bias]) } else { Ok(bias) }
}

pub(super) fn average_pool(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let from = picture(call, x)?;
    let kernel = call.sizes("kernel_shape", 2, 1)?.context("kernel_shape is needed")?;
    let spec = spec(call, kernel, from, from[1], true)?;
    call.result(SumPool::new(spec, call.int("count_include_pad", 0)? != 0, true), &[x])
}

pub(super) fn space_to_depth(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let from @ [n, c, h, w] = picture(call, x)?;
    let b = call.size("blocksize", call.int("blocksize", 0)?, 1)?;
    ensure!(h % b == 0 && w % b == 0, "blocks of {b} in {from:?}");
    let (split, joined) = ([n, c, h / b, b, w / b, b], [n, b * b * c, h / b, w / b]);
    call.chain(rearrange(&from, &split, &[0, 3, 5, 1, 2, 4], &joined), x)
}

pub(super) fn depth_to_space(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let from @ [n, c, h, w] = picture(call, x)?;
    let b = call.size("blocksize", call.int("blocksize", 0)?, 1)?;
    ensure!(c % (b * b) == 0, "blocks of {b} from {from:?}");
    let each = c / (b * b);
    let (split, order) = match call.text("mode", "DCR")? {
        "DCR" => ([n, b, b, each, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, each, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => bail!("mode {other}"),
    };
    call.chain(rearrange(&from, &split, &order, &[n, each, h * b, w * b]), x)
}

pub(super) fn pad(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let rank = call.shape(x)?.len();
    let asked = call.integers_since(11, 1, "pads")?.context("pads are needed")?;
    let axes = call.integers(3)?.unwrap_or_else(|| (0..rank as i64).collect());
    ensure!(asked.len() == 2 * axes.len(), "{} pads for {} axes", asked.len(), axes.len());
    let mut pads = vec![(0, 0); rank];
    for (i, &at) in axes.iter().enumerate() {
        let (before, after) = (asked[i], asked[i + axes.len()]);
        pads[axis(at, rank)?] = (call.size("pad", before, 0)?, call.size("pad", after, 0)?);
    }
    let mode = match call.text("mode", "constant")? {
        "constant" => PadMode::Constant(filling(call)?),
        "edge" => PadMode::Edge,
        other => bail!("mode {other} is not supported here"),
    };
    call.result(Pad::new(pads, mode), &[x])
}

/// The value that a constant padding is filled with.
fn filling(call: &Call) -> TractResult<Arc<Tensor>> {
    if call.opset() < 11 {
        return Ok(rctensor0(call.float("value")?.unwrap_or(0.0)));
    }
    let Some(value) = call.constant(2)? else { return Ok(rctensor0(0f32)) };
    ensure!(value.len() == 1, "padding with {} values", value.len());
    Ok(value.into_tensor().into_shape(&[])?.into_arc_tensor())
}

/// Nearest neighbour, where it repeats every row and column a whole number of times.
pub(super) fn resize(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let mut shape = call.shape(x)?;
    ensure!(call.text("mode", "nearest")? == "nearest", "only nearest neighbour");
    ensure!(call.text("keep_aspect_ratio_policy", "stretch")? == "stretch", "an aspect ratio that is kept");
    let (coordinates, rounding) = match call.opset() {
        ..=10 => ("asymmetric", "floor"),
        _ => (
            call.text("coordinate_transformation_mode", "half_pixel")?,
            call.text("nearest_mode", "round_prefer_floor")?,
        ),
    };
    let factors = factors(call, &shape)?;
    let mut ops = Vec::new();
    for (axis, factor) in factors.into_iter().filter(|(_, factor)| *factor > 1) {
        let size = shape[axis];
        ensure!(size * factor <= LONGEST_AXIS, "axis {axis} of {shape:?} by {factor}");
        let repeats = (0..size * factor).all(|at| source(coordinates, rounding, at, factor, size) == Some(at / factor));
        ensure!(repeats, "{coordinates} with {rounding} by {factor}, which does not repeat pixels");
        let mut repeated = shape.clone();
        repeated.insert(axis + 1, factor);
        shape[axis] = size * factor;
        ops.push(Box::new(AxisOp::Add(axis + 1)) as Box<dyn TypedOp>);
        ops.push(Box::new(MultiBroadcastTo::new(ShapeFact::from_dims(repeated.iter().map(|d| d.to_dim())))));
        ops.push(into_shape(&repeated, &shape));
    }
    call.chain(ops, x)
}

/// The axes that are resized, each with its factor.
fn factors(call: &Call, shape: &[usize]) -> TractResult<Vec<(usize, usize)>> {
    let axes = match call.ints("axes")? {
        Some(axes) => places(axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let scales = call.constant(if call.opset() <= 10 { 1 } else { 2 })?.filter(|scales| scales.len() > 0);
    let sizes: Vec<f64> = match (scales, call.integers(3)?) {
        (Some(scales), _) => {
            let scales = scales.cast_to::<f64>()?.into_owned();
            let scales = scales.to_plain_array_view::<f64>()?;
            scales.iter().zip(&axes).map(|(scale, &axis)| scale * shape[axis] as f64).collect()
        }
        (None, Some(sizes)) => sizes.iter().map(|&size| size as f64).collect(),
        (None, None) => bail!("neither scales nor sizes"),
    };
    ensure!(sizes.len() == axes.len(), "{} sizes for {} axes", sizes.len(), axes.len());
    let factor = |(&axis, size): (&usize, f64)| {
        let factor = size / shape[axis] as f64;
        ensure!(factor.fract() == 0.0 && (1.0..=256.0).contains(&factor), "by {factor}, which is not a whole factor");
        Ok((axis, factor as usize))
    };
    axes.iter().zip(sizes).map(factor).collect()
}

/// The pixel that pixel `at` of a row comes from, where a row of `size` pixels becomes `factor` times as long.
fn source(coordinates: &str, rounding: &str, at: usize, factor: usize, size: usize) -> Option<usize> {
    let (place, factor, last) = (at as f64, factor as f64, size as f64 - 1.0);
    let place = match coordinates {
        "asymmetric" => place / factor,
        "half_pixel" | "half_pixel_symmetric" | "pytorch_half_pixel" => (place + 0.5) / factor - 0.5,
        "tf_half_pixel_for_nn" => (place + 0.5) / factor,
        "align_corners" => place * last / (size as f64 * factor - 1.0),
        _ => return None,
    };
    let whole = match rounding {
        "round_prefer_floor" => (place - 0.5).ceil(),
        "round_prefer_ceil" => (place + 0.5).floor(),
        "floor" => place.floor(),
        "ceil" => place.ceil(),
        _ => return None,
    };
    Some(whole.clamp(0.0, last) as usize)
}
