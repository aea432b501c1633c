//! Networks that the int8 plan does not take: tract's own executor, tile by tile.
//!
//! What the network wants of its tiles is computed once, from its shapes and from how far it sees (`reach`): scale,
//! channels, halo, the grid that tiles must keep to, pixels that it loses at the border. How its numbers are meant is
//! found by a probe.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::{tensor_shape_proto::dimension::Value as Dimension, type_proto};
use tract_onnx::prelude::*;

use super::executor::{Executor, live_bytes, macs};
use super::format::{Form, Layout, Order, Range};
use super::load::{self, Shape, output_shape};
use super::reach::{Reach, reach};
use super::{MOST_SCALE, ModelError};
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
    /// For messages.
    name: String,
    /// The network at sizes that it was typed at, while it is looked at.
    typed: HashMap<Shape, Arc<TypedModel>>,
    proto: Arc<ModelProto>,
    bytes: usize,
    /// Layout of the input.
    pub layout: Layout,
    /// Layout of the output.
    pub output_layout: Layout,
    /// 1 (luma) or 3.
    pub channels: usize,
    /// Output pixels for an input pixel of the network, along one axis.
    pub scale: usize,
    /// How much the picture is enlarged before the network sees it, along one axis.
    pub enlarged: usize,
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
    pub(super) fn new(name: &str, proto: ModelProto, bytes: usize) -> Result<Self, String> {
        let quantised = proto.graph.iter().flat_map(|g| &g.node).any(|n| n.op_type == "QuantizeLinear");
        let mut network = Self {
            name: name.to_string(),
            typed: HashMap::new(),
            enlarged: 1,
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
        network.typed = HashMap::new();
        Ok(network)
    }

    /// Output pixels for a pixel of the picture, along one axis.
    pub fn factor(&self) -> usize {
        self.scale * self.enlarged
    }

    fn typed(&self, size: Size) -> Result<TypedModel, String> {
        let shape = self.layout.shape(self.channels, size);
        match self.typed.get(&shape) {
            Some(known) => Ok(TypedModel::clone(known)),
            None => Ok(load::typed(&self.proto, self.bytes, shape)?.typed),
        }
    }

    /// [`FloatNetwork::typed`] for a size that is looked at again.
    fn probed(&mut self, size: Size) -> Result<Arc<TypedModel>, String> {
        let shape = self.layout.shape(self.channels, size);
        if let Some(known) = self.typed.get(&shape) {
            return Ok(known.clone());
        }
        let typed = Arc::new(load::typed(&self.proto, self.bytes, shape)?.typed);
        self.typed.insert(shape, typed.clone());
        Ok(typed)
    }

    fn run_at(&self, size: Size) -> Result<Executor, String> {
        let Self { channels, range, order, .. } = *self;
        let form = Form { layouts: [self.layout, self.output_layout], channels, range, order };
        Executor::new(self.typed(size)?, form, size, !self.quantised)
    }

    fn output_shape(&mut self, size: Size) -> Result<Vec<usize>, String> {
        output_shape(&*self.probed(size)?)
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
            _ if a.is_some() && !picture(a) => {
                let channels = a.unwrap_or(0);
                return Err(format!("an input of {channels} channels; 1 (luma) and 3 (colours) are supported"));
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
                    if others.into_iter().all(|other| self.output_shape(other).is_ok()) {
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
        let typed = self.probed(size)?;
        self.macs_per_pixel = macs(&typed) / size.area() as f64;
        let shape = output_shape(&typed)?;
        let layouts = [self.layout, Layout::Nchw, Layout::Nhwc];
        let fits = |l: &Layout| l.read(&shape).is_some_and(|(c, _)| c == self.channels);
        self.output_layout = layouts.into_iter().find(fits).ok_or_else(|| {
            format!("the output {shape:?} is not a picture of as many channels as the input's {}", self.channels)
        })?;
        let layout = self.output_layout;
        let read = |shape: &[usize]| layout.read(shape).map(|(_, size)| size);
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
        let mut accepts = |step: &usize| {
            // An odd multiple, unlike in width and height.
            let size = Size::new((NARROW / step + 1) * step, (NARROW / step + 3) * step);
            let made = self.output_shape(size).ok().and_then(|s| read(&s));
            made.is_some_and(|m| m == Size::new(scale * size.width - lost, scale * size.height - lost))
        };
        let step = STEPS.into_iter().find(&mut accepts);
        self.step = step.ok_or("it takes no size that is a multiple of 64")?;
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
                let found = reach(&*self.probed(size)?, axis, output_axis)?;
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
        let executor = self.run_at(size)?;
        if executor.takes_bytes() {
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
                let (x, y) = (at(pixel % executor.output().width), at(pixel / executor.output().width));
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
        load::fenced(&self.name, || self.run_at(size))
    }

    /// An estimate of what a run at one size of tile allocates.
    pub fn live_bytes(&self, size: Size) -> Result<usize, ModelError> {
        load::fenced(&self.name, || live_bytes(&self.typed(size)?))
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
