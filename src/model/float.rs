//! Networks that the int8 plan does not take: tract's own executor, tile by tile.
//!
//! What the network wants of its tiles is computed once, from its shapes and from how far it sees (`reach`): scale,
//! channels, halo, the grid that tiles must keep to, pixels that it loses at the border. How its numbers are meant is
//! found by a probe.

use std::fmt;
use std::sync::Arc;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::{tensor_shape_proto::dimension::Value as Dimension, type_proto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::ModelError;
use super::load::{self, Shape, reason, unchecked_f32};
use super::reach::{Reach, reach};
use crate::geom::Size;

/// Sides at which the reach is looked for, until the middle of the picture sees no border.
const PROBES: [usize; 4] = [96, 256, 768, 2048];
/// The other side meanwhile.
const NARROW: usize = 64;
/// Grids that tiles may have to keep to.
const STEPS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Mean levels of 255 that a smooth picture may be off in the usual range. A network keeps brightness to a few; one that
/// was trained on bytes is far off between 0 and 1, where its biases are large.
const MUCH: f64 = 8.0;
/// Most output pixels for an input pixel, along one axis.
const MOST_SCALE: usize = 8;

/// What the numbers of a picture are, in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Range {
    /// 0 to 1.
    #[serde(rename = "0..1")]
    One,
    /// 0 to 255.
    #[serde(rename = "0..255")]
    Bytes,
    /// -1 to 1.
    #[serde(rename = "-1..1")]
    Signed,
}

impl Range {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::One, Self::Bytes, Self::Signed];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "0..1",
            Self::Bytes => "0..255",
            Self::Signed => "-1..1",
        }
    }

    fn real(self, byte: u8) -> f32 {
        let v = f32::from(byte);
        match self {
            Self::One => v / 255.0,
            Self::Bytes => v,
            Self::Signed => v / 127.5 - 1.0,
        }
    }

    fn steps(self, real: f32) -> f32 {
        match self {
            Self::One => real * 255.0,
            Self::Bytes => real,
            Self::Signed => (real + 1.0) * 127.5,
        }
    }

    /// The nearest byte; what lies beyond the range is clamped, and what is no number is 0.
    fn byte(self, real: f32) -> u8 {
        self.steps(real).round_ties_even().clamp(0.0, 255.0) as u8
    }
}

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|r| r.name() == text)
            .ok_or_else(|| format!("'{text}' is not one of 0..1, 0..255, -1..1"))
    }
}

/// Order of the colours of a network that sees three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
}

impl Order {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Bgr => "bgr",
        }
    }
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Rgb, Self::Bgr].into_iter().find(|order| order.name() == text);
        known.ok_or_else(|| format!("'{text}' is not one of rgb, bgr"))
    }
}

/// Channels before rows and columns, or after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channels, rows, columns.
    Nchw,
    /// Batch, rows, columns, channels.
    Nhwc,
}

impl Layout {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        }
    }

    fn shape(self, channels: usize, size: Size) -> Shape {
        match self {
            Self::Nchw => [1, channels, size.height, size.width],
            Self::Nhwc => [1, size.height, size.width, channels],
        }
    }

    /// Channels and size of a tensor of one picture.
    fn read(self, shape: &[usize]) -> Option<(usize, Size)> {
        match (self, shape) {
            (Self::Nchw, &[1, c, h, w]) | (Self::Nhwc, &[1, h, w, c]) => Some((c, Size::new(w, h))),
            _ => None,
        }
    }

    /// Numbers of the axes of rows and columns.
    const fn axes(self) -> [usize; 2] {
        match self {
            Self::Nchw => [2, 3],
            Self::Nhwc => [1, 2],
        }
    }
}

/// How pictures are given to a network in floats.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FloatFacts {
    /// 1 (luma) or 3.
    pub channels: usize,
    /// What its numbers mean.
    pub range: Range,
    /// Order of its colours.
    pub order: Option<Order>,
    /// Layout of the input.
    pub layout: Layout,
    /// Input pixels that an output pixel depends on, beyond its own.
    pub halo: usize,
    /// Input pixels that it loses at each border.
    pub margin: usize,
    /// Grid of its windows, in input pixels.
    pub step: usize,
    /// The only input that it takes.
    pub fixed: Option<Size>,
    /// The node that sees the whole picture.
    pub whole: Option<String>,
}

/// A network in floats, and how pictures are given to it.
#[derive(Clone)]
pub struct FloatNetwork {
    proto: Arc<ModelProto>,
    bytes: usize,
    /// Layout of the input.
    pub layout: Layout,
    /// Layout of the output.
    pub output_layout: Layout,
    /// 1 (luma) or 3.
    pub channels: usize,
    /// Output pixels for an input pixel, along one axis.
    pub scale: usize,
    /// Input pixels that are lost on each side: the picture is mirrored by as many.
    pub margin: usize,
    /// Input pixels that an output pixel depends on, beyond its own, on any side.
    pub halo: usize,
    /// Tiles begin at multiples of it, and frames are padded to multiples of it.
    pub step: usize,
    /// The only input that the file takes.
    pub fixed: Option<Size>,
    /// The first node that sees the whole picture, if one does: then a frame is one tile.
    pub whole: Option<String>,
    /// Multiply-adds for an input pixel.
    pub macs_per_pixel: f64,
    /// What the numbers mean.
    pub range: Range,
    /// Order of colours.
    pub order: Order,
    /// Holds QuantizeLinear, and must not be simplified by tract, which breaks it.
    quantised: bool,
}

impl fmt::Debug for FloatNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, scale, halo, step, range, .. } = self;
        write!(
            f,
            "FloatNetwork {{ channels: {channels}, scale: {scale}, halo: {halo}, step: {step}, range: {range:?} }}"
        )
    }
}

impl FloatNetwork {
    /// Looks at the network; the error names what is in the way. `bytes`: of the file.
    pub(super) fn new(proto: ModelProto, bytes: usize) -> Result<Self, String> {
        let quantised = proto.graph.iter().flat_map(|g| &g.node).any(|n| n.op_type == "QuantizeLinear");
        let mut network = Self {
            layout: Layout::Nchw,
            output_layout: Layout::Nchw,
            channels: 3,
            scale: 1,
            margin: 0,
            halo: 0,
            step: 1,
            fixed: None,
            whole: None,
            macs_per_pixel: 0.0,
            range: Range::One,
            order: Order::Rgb,
            quantised,
            bytes,
            proto: Arc::new(proto),
        };
        network.find_input()?;
        network.find_scale()?;
        network.find_reach()?;
        network.find_range()?;
        Ok(network)
    }

    fn typed(&self, size: Size) -> Result<TypedModel, String> {
        Ok(load::typed(&self.proto, self.bytes, self.layout.shape(self.channels, size))?.typed)
    }

    fn output_shape(&self, size: Size) -> Result<Vec<usize>, String> {
        output_shape(&self.typed(size)?)
    }

    /// Layout, channels and size of the input, as declared, or as the network accepts them.
    fn find_input(&mut self) -> Result<(), String> {
        let declared = declared(&self.proto)?;
        let [batch, a, b, c] = declared[..] else {
            return Err(format!("an input of {} axes is not a picture", declared.len()));
        };
        if batch.is_some_and(|n| n != 1) {
            return Err("an input of several pictures".into());
        }
        let picture = |n: Option<usize>| n.is_some_and(|n| n == 1 || n == 3);
        let candidates: Vec<(Layout, usize)> = match (picture(a), picture(c)) {
            (true, false) => vec![(Layout::Nchw, a.unwrap_or(3))],
            (false, true) => vec![(Layout::Nhwc, c.unwrap_or(3))],
            _ if a.is_some_and(|n| n > 4) => {
                return Err(format!("an input of {} channels is not a picture", a.unwrap_or(0)));
            }
            _ => vec![(Layout::Nchw, 3), (Layout::Nchw, 1), (Layout::Nhwc, 3), (Layout::Nhwc, 1)],
        };
        let mut first = None;
        for (layout, channels) in candidates {
            let (h, w) = if layout == Layout::Nchw { (b, c) } else { (a, b) };
            (self.layout, self.channels) = (layout, channels);
            self.fixed = match (h, w) {
                (Some(h), Some(w)) => Some(Size::new(w, h)),
                _ => None,
            };
            let size = self.fixed.unwrap_or(Size::new(NARROW, NARROW));
            match self.output_shape(size) {
                Ok(_) => {
                    // A size that is only declared, and that nothing inside depends on, is none.
                    let others = [Size::new(NARROW, NARROW), Size::new(3 * NARROW, NARROW)];
                    if others.iter().all(|other| self.output_shape(*other).is_ok()) {
                        self.fixed = None;
                    }
                    return Ok(());
                }
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(first.unwrap_or_default())
    }

    /// Scale, lost pixels, and the sizes that are accepted; needs the input.
    fn find_scale(&mut self) -> Result<(), String> {
        let size = self.fixed.unwrap_or(Size::new(NARROW, NARROW));
        let typed = self.typed(size)?;
        self.macs_per_pixel = macs(&typed) / size.area() as f64;
        let shape = output_shape(&typed)?;
        let layouts = [self.layout, Layout::Nchw, Layout::Nhwc];
        let fits = |l: &Layout| l.read(&shape).is_some_and(|(c, _)| c == self.channels);
        self.output_layout = layouts.into_iter().find(fits).ok_or_else(|| {
            format!("the output {shape:?} is not a picture of as many channels as the input's {}", self.channels)
        })?;
        let read = |shape: &[usize]| self.output_layout.read(shape).map(|(_, size)| size);
        let made = read(&shape).ok_or("the output is not a picture")?;
        let (scale, lost) = match self.fixed {
            Some(_) => {
                let scale = made.width.div_ceil(size.width).max(1);
                (scale, (scale * size.width).saturating_sub(made.width))
            }
            None => {
                let wider = Size::new(2 * NARROW, NARROW);
                let more = read(&self.output_shape(wider)?).ok_or("the output is not a picture")?.width;
                let scale = more.saturating_sub(made.width) / NARROW;
                (scale, (scale * size.width).saturating_sub(made.width))
            }
        };
        let square = made.width + lost == scale * size.width && made.height + lost == scale * size.height;
        if !(1..=MOST_SCALE).contains(&scale) || !square || !lost.is_multiple_of(2 * scale) {
            return Err(format!("an output of {made} for an input of {size} is not 1 to {MOST_SCALE} times as large"));
        }
        (self.scale, self.margin) = (scale, lost / (2 * scale));
        if self.fixed.is_some() {
            return Ok(());
        }
        let accepts = |step: &usize| {
            // An odd multiple, unlike in width and height.
            let size = Size::new((NARROW / step + 1) * step, (NARROW / step + 3) * step);
            let made = self.output_shape(size).ok().and_then(|s| read(&s));
            made.is_some_and(|m| m == Size::new(scale * size.width - lost, scale * size.height - lost))
        };
        self.step = STEPS.into_iter().find(accepts).ok_or("it takes no size that is a multiple of 64")?;
        Ok(())
    }

    /// How far it sees, and the grid that its windows stand on; needs the scale.
    fn find_reach(&mut self) -> Result<(), String> {
        for (number, axis) in self.layout.axes().into_iter().enumerate() {
            let output_axis = self.output_layout.axes()[number];
            let mut seen = None;
            let fixed = self.fixed.map(|s| if number == 0 { s.height } else { s.width });
            let sides: Vec<usize> = fixed.map_or(PROBES.to_vec(), |side| vec![side]);
            for side in sides {
                let size = self.fixed.unwrap_or(match number {
                    0 => Size::new(NARROW, side),
                    _ => Size::new(side, NARROW),
                });
                let found = reach(&self.typed(size)?, axis, output_axis)?;
                if found.whole.is_some() {
                    self.whole = found.whole;
                    return Ok(());
                }
                seen = self.middle(&found, side);
                if seen.is_some() {
                    break;
                }
            }
            let Some((halo, step)) = seen else {
                self.whole = Some(format!("a reach of more than {} pixels", PROBES[PROBES.len() - 1] / 6));
                return Ok(());
            };
            self.halo = self.halo.max(halo);
            self.step = self.step.max(step);
        }
        Ok(())
    }

    /// Halo and grid of the middle third; none if it sees a border.
    fn middle(&self, reach: &Reach, side: usize) -> Option<(usize, usize)> {
        let last = (side - 1) as f32;
        let third = reach.spans.len() / 3..2 * reach.spans.len() / 3;
        let mut halo = 0f32;
        for o in third.clone() {
            let (low, high) = reach.spans[o];
            if low <= 0.0 || high >= last {
                return None;
            }
            let own = (o / self.scale + self.margin) as f32;
            halo = halo.max(own - low).max(high - own);
        }
        let repeats = |step: &usize| {
            let later = step * self.scale;
            third.clone().filter(|o| o + later < third.end).all(|o| {
                let ((low, high), (a, b)) = (reach.spans[o], reach.spans[o + later]);
                (a - low, b - high) == (*step as f32, *step as f32) || low > high && a > b
            })
        };
        let step = STEPS.into_iter().find(repeats)?;
        // What is lost at the border is seen by what is left.
        Some(((halo as usize).saturating_sub(self.margin), step))
    }

    /// What the numbers mean: as the last bound says, else 0 to 1, unless a smooth picture comes out wrong in it and right in
    /// bytes. Between 0..1 and -1..1 a picture does not tell: a network keeps a brighter picture too.
    fn find_range(&mut self) -> Result<(), String> {
        let size = self.fixed.unwrap_or(Size::new(NARROW, NARROW));
        let executor = Executor::new(self, size)?;
        if executor.bytes_in {
            self.range = Range::Bytes;
            return Ok(());
        }
        if let Some(range) = last_bound(&self.proto) {
            self.range = range;
            return Ok(());
        }
        let smooth = |x: usize, y: usize, c: usize| -> f32 {
            let (x, y) = (x as f32 / size.width as f32, y as f32 / size.height as f32);
            128.0 + 60.0 * (3.0 * x + c as f32).sin() + 50.0 * (2.0 * y - c as f32).cos()
        };
        let mut input = Vec::with_capacity(size.area() * self.channels);
        for y in 0..size.height {
            for x in 0..size.width {
                input.extend((0..self.channels).map(|c| smooth(x, y, c) as u8));
            }
        }
        let error = |range: Range| -> Result<f64, String> {
            let real = executor.real(&input, range)?;
            let apart = real.iter().enumerate().map(|(i, v)| {
                let (pixel, c) = (i / self.channels, i % self.channels);
                let at = |v: usize| v / self.scale + self.margin;
                let (x, y) = (at(pixel % executor.output.width), at(pixel / executor.output.width));
                let error = (range.steps(*v) - smooth(x, y, c)).abs();
                if error.is_finite() { f64::from(error) } else { f64::MAX.sqrt() }
            });
            Ok(apart.sum::<f64>() / real.len().max(1) as f64)
        };
        let usual = error(Range::One)?;
        if usual > MUCH && error(Range::Bytes)? < usual / 2.0 {
            self.range = Range::Bytes;
        }
        Ok(())
    }

    /// Weights and biases: numbers of all constants of more than one.
    pub(super) fn parameters(&self) -> usize {
        let initializers = self.proto.graph.iter().flat_map(|g| &g.initializer);
        let count = |dims: &[i64]| dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).product::<usize>();
        initializers.map(|t| count(&t.dims)).filter(|n| *n > 1).sum()
    }

    /// What was found out, for `inspect`.
    pub fn facts(&self) -> FloatFacts {
        let Self { range, layout, channels, margin, halo, step, fixed, .. } = *self;
        let order = (channels == 3).then_some(self.order);
        FloatFacts { channels, range, order, layout, halo, margin, step, fixed, whole: self.whole.clone() }
    }

    /// Bytes of the file's constants as they are read, and as tract packs them.
    pub fn held_bytes(&self) -> usize {
        3 * size_of::<f32>() * self.parameters()
    }

    /// The network at one size of tile.
    pub fn executor(&self, size: Size) -> Result<Executor, ModelError> {
        load::fenced("", || Executor::new(self, size))
    }

    /// The frame as the network is given it: padded to the grid, and by what is lost at the border.
    pub fn padded(&self, frame: Size) -> Size {
        let frame = frame.padded(self.step);
        Size::new(frame.width + 2 * self.margin, frame.height + 2 * self.margin)
    }
}

/// Sizes that the file declares for its input; none where they are open.
pub(super) fn declared(proto: &ModelProto) -> Result<Vec<Option<usize>>, String> {
    let input = proto.graph.as_ref().and_then(|g| g.input.first()).ok_or("no input")?;
    let Some(type_proto::Value::TensorType(kind)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Ok(vec![None; 4]);
    };
    let Some(shape) = &kind.shape else { return Ok(vec![None; 4]) };
    let size = |d: &Option<Dimension>| match d {
        Some(Dimension::DimValue(v)) if *v > 0 => usize::try_from(*v).ok(),
        _ => None,
    };
    Ok(shape.dim.iter().map(|d| size(&d.value)).collect())
}

/// The range that the last operator bounds the picture to, past those that only move it.
fn last_bound(proto: &ModelProto) -> Option<Range> {
    let graph = proto.graph.as_ref()?;
    let mut name = graph.output.first()?.name.as_str();
    let constant = |name: &str| -> Option<f32> {
        let initializer = graph.initializer.iter().find(|t| t.name == name);
        let node = || graph.node.iter().find(|n| n.op_type == "Constant" && n.output.iter().any(|o| o == name));
        let tensor = initializer.or_else(|| node()?.attribute.iter().find(|a| a.name == "value")?.t.as_ref())?;
        tensor.float_data.first().copied().or_else(|| Some(f32::from_le_bytes(*tensor.raw_data.first_chunk()?)))
    };
    for _ in 0..16 {
        let node = graph.node.iter().find(|n| n.output.iter().any(|o| o == name))?;
        match node.op_type.as_str() {
            "Tanh" => return Some(Range::Signed),
            "Sigmoid" => return Some(Range::One),
            "Clip" => {
                let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name).map(|a| a.f);
                let bound = |at: usize, name: &str| node.input.get(at).and_then(|n| constant(n)).or(attribute(name));
                return match (bound(1, "min")?, bound(2, "max")?) {
                    (0.0, 1.0) => Some(Range::One),
                    (0.0, 255.0) => Some(Range::Bytes),
                    (-1.0, 1.0) => Some(Range::Signed),
                    _ => None,
                };
            }
            "DepthToSpace" | "Reshape" | "Transpose" | "Identity" | "Cast" | "Slice" | "Squeeze" | "Round" => {
                name = node.input.first()?;
            }
            _ => return None,
        }
    }
    None
}

fn output_shape(model: &TypedModel) -> Result<Vec<usize>, String> {
    let fact = model.outlet_fact(model.outputs[0]).map_err(reason)?;
    Ok(fact.shape.as_concrete().ok_or("an output of unknown size")?.to_vec())
}

/// Multiply-adds of convolutions and products.
fn macs(model: &TypedModel) -> f64 {
    let volume = |fact: &TypedFact| fact.shape.as_concrete().map_or(0.0, |s| s.iter().product::<usize>() as f64);
    let of = |node: &TypedNode| -> f64 {
        let input = |slot: usize| model.outlet_fact(node.inputs[slot]).map_or(0.0, volume);
        let output = volume(&node.outputs[0].fact);
        if let Some(conv) = node.op_as::<Conv>() {
            input(1) / conv.pool_spec.output_channels.max(1) as f64 * output
        } else if let Some(deconv) = node.op_as::<Deconv>() {
            input(1) / deconv.pool_spec.input_channels.max(1) as f64 * input(0)
        } else if node.op_is::<EinSum>() && node.inputs.len() >= 2 {
            // A product of m x k and k x n: the square root of all three is m k n.
            (input(0) * input(1) * output).sqrt()
        } else {
            0.0
        }
    };
    model.nodes().iter().map(of).sum()
}

/// The network at one size.
pub struct Executor {
    plan: Arc<TypedSimplePlan>,
    layouts: [Layout; 2],
    channels: usize,
    range: Range,
    order: Order,
    bytes_in: bool,
    input: Size,
    output: Size,
    live: usize,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Executor {{ input: {}, output: {}, live: {} }}", self.input, self.output, self.live)
    }
}

impl Executor {
    /// Prepared for inputs of `size`.
    pub(super) fn new(network: &FloatNetwork, size: Size) -> Result<Self, String> {
        let typed = network.typed(size)?;
        let live = live_bytes(&typed)?;
        let shape = output_shape(&typed)?;
        let (_, output) = network.output_layout.read(&shape).ok_or("the output is not a picture")?;
        let bytes_in = typed.outlet_fact(typed.inputs[0]).map_err(reason)?.datum_type == u8::datum_type();
        let ready = if network.quantised { typed } else { typed.into_optimized().map_err(reason)? };
        Ok(Self {
            plan: ready.into_runnable().map_err(reason)?,
            layouts: [network.layout, network.output_layout],
            channels: network.channels,
            range: network.range,
            order: network.order,
            bytes_in,
            input: size,
            output,
            live,
        })
    }

    /// Size of what comes out.
    pub fn output(&self) -> Size {
        self.output
    }

    /// An estimate of what a run allocates.
    pub fn live_bytes(&self) -> usize {
        self.live
    }

    /// One tile: interleaved bytes of `size` in, of [`Executor::output`] out.
    ///
    /// The error is tract's: an allocation that failed, say.
    pub fn run(&self, input: &[u8], output: &mut [u8]) -> Result<(), String> {
        let made = load::quietly(|| self.values(input, self.range))?;
        match made.to_plain_array_view::<f32>() {
            Ok(values) => {
                let values = values.as_slice().ok_or("an output that is not in order")?;
                self.place(output, |at| self.range.byte(values[at]));
            }
            Err(_) => {
                let bytes = made.cast_to::<u8>().map_err(reason)?;
                let bytes = bytes.to_plain_array_view::<u8>().map_err(reason)?;
                let bytes = bytes.as_slice().ok_or("an output that is not in order")?;
                self.place(output, |at| bytes[at]);
            }
        }
        Ok(())
    }

    /// Writes interleaved bytes; `byte` is that of an element of the output.
    fn place(&self, output: &mut [u8], byte: impl Fn(usize) -> u8) {
        let (plane, channels) = (self.output.area(), self.channels);
        for (pixel, out) in output.chunks_exact_mut(channels).enumerate() {
            for (channel, out) in out.iter_mut().enumerate() {
                let from = self.of_network(channel);
                *out =
                    byte(if self.layouts[1] == Layout::Nchw { from * plane + pixel } else { pixel * channels + from });
            }
        }
    }

    /// The network's channel for one of ours, and ours for one of its.
    fn of_network(&self, channel: usize) -> usize {
        if self.order == Order::Bgr { self.channels - 1 - channel } else { channel }
    }

    /// The output's numbers, pixel by pixel, colours in the network's order.
    fn real(&self, input: &[u8], range: Range) -> Result<Vec<f32>, String> {
        let made = load::quietly(|| self.values(input, range))?;
        let made = made.cast_to::<f32>().map_err(reason)?;
        let values = unchecked_f32(&made);
        let (plane, c) = (self.output.area(), self.channels);
        if self.layouts[1] == Layout::Nhwc {
            return Ok(values);
        }
        Ok((0..plane * c).map(|i| values[i % c * plane + i / c]).collect())
    }

    fn values(&self, input: &[u8], range: Range) -> Result<TValue, String> {
        let (c, plane) = (self.channels, self.input.area());
        if input.len() != c * plane {
            return Err(format!("{} bytes for a tile of {}", input.len(), self.input));
        }
        let table: [f32; 256] = std::array::from_fn(|v| range.real(v as u8));
        let nchw = self.layouts[0] == Layout::Nchw;
        let source = |i: usize| {
            let (pixel, channel) = if nchw { (i % plane, i / plane) } else { (i / c, i % c) };
            input[pixel * c + self.of_network(channel)]
        };
        let shape = self.layouts[0].shape(c, self.input);
        let tensor = if self.bytes_in {
            let bytes: Vec<u8> = (0..c * plane).map(source).collect();
            Tensor::from_shape(&shape, &bytes)
        } else {
            let real: Vec<f32> = (0..c * plane).map(|i| table[usize::from(source(i))]).collect();
            Tensor::from_shape(&shape, &real)
        };
        let mut made = self.plan.run(tvec!(tensor.map_err(reason)?.into_tvalue())).map_err(reason)?;
        Ok(made.remove(0))
    }
}

/// Bytes of tensors that are alive together at most, with what a convolution unfolds its input to.
fn live_bytes(model: &TypedModel) -> Result<usize, String> {
    let order = model.eval_order().map_err(reason)?;
    let mut last = std::collections::HashMap::new();
    for &id in &order {
        for input in &model.node(id).inputs {
            last.insert(input.node, id);
        }
    }
    let bytes = |id: usize| -> usize {
        let node = model.node(id);
        let of = |o: &Outlet<TypedFact>| match &o.fact.konst {
            Some(_) => 0,
            None => o.fact.shape.as_concrete().map_or(0, |s| s.iter().product::<usize>()) * o.fact.datum_type.size_of(),
        };
        node.outputs.iter().map(of).sum()
    };
    let (mut alive, mut most) = (0usize, 0usize);
    for &id in &order {
        alive += bytes(id);
        let node = model.node(id);
        let unfolded = node.op.downcast_ref::<Conv>().map_or(0, |conv| {
            let taps: usize = conv.pool_spec.kernel_shape.iter().product();
            let pixels = bytes(id) / conv.pool_spec.output_channels.max(1);
            if taps > 1 { pixels * taps * conv.pool_spec.input_channels } else { 0 }
        });
        most = most.max(alive + unfolded);
        for input in &node.inputs {
            if last.get(&input.node) == Some(&id) {
                alive = alive.saturating_sub(bytes(input.node));
                last.remove(&input.node);
            }
        }
    }
    Ok(most)
}
