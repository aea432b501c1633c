//! One Step for each operation.

use std::sync::Arc;

use super::lower::{Lowering, Unit};
use super::pack::{ConvInput, InputPart, pack, requantisation};
use super::step::{Attention, Conv, Depthwise, Fused, Kind, Read};
use crate::kernels::{Add, Clamp, Depthwise as DepthwiseWeights, Gate, Pool, WindowAttention};
use crate::model::{ConvWeights, Input, Node, Op, View};

impl Lowering<'_> {
    /// A convolution, with the Add that it is fused into, if there is one.
    pub(super) fn convolution(
        &mut self,
        node: &Node,
        weights: &ConvWeights,
        sum: Option<(&Node, Input)>,
    ) -> Result<(), String> {
        let input = node.inputs[0];
        let output = self.made(node);
        let clamp = self.clamp(node);
        let target = sum.map_or(node.output, |(add, _)| add.output);
        let spread = self.spread_of(node.output);
        let first = &self.graph.tensors[self.parts(input)?[0]];
        let quantised = (first.scale, first.zero_point);
        let skip = match sum {
            None => None,
            Some((add, other)) => Some(self.residual(output.scale, add, other, spread)?),
        };
        if weights.depthwise {
            let read = Read {
                offsets: [-1, 0, 1].map(|o| o * weights.dilation as isize).to_vec(),
                ..Read::same(self.stored(input)?)
            };
            let (residual, reads) = with_skip(vec![read], skip);
            let kind = self.depthwise(weights, quantised, output.scale, clamp, residual)?;
            return self.push(&output.name, kind, reads, target, Unit::Row, 9 * weights.outputs).map(drop);
        }
        let block = match input.view {
            View::Plain | View::DepthToSpace(_) => 1,
            View::SpaceToDepth(n) => n,
            view => return Err(format!("a convolution that views its input as {view:?}")),
        };
        let tensors = self.parts(input)?;
        if block > 1 && tensors.len() > 1 {
            return Err("SpaceToDepth of a concat".into());
        }
        // Depth in space is stored so; what is read by blocks is stored as it is.
        let view = if block > 1 { View::Plain } else { input.view };
        let buffers =
            tensors.iter().map(|&tensor| self.stored(Input { tensor, view })).collect::<Result<Vec<_>, _>>()?;
        let parts =
            buffers.iter().map(|&b| InputPart { buffer: self.buffer(b), channels: self.buffer(b).stride }).collect();
        let source = ConvInput { parts, block };
        let taps = source.taps(weights);
        let each = weights.outputs / (spread * spread);
        let outputs = (0..spread * spread).map(|i| i * each..(i + 1) * each);
        let packed = outputs
            .map(|o| pack(&source, weights, &taps, o, quantised, output.scale, self.level))
            .collect::<Result<_, _>>()?;
        let offsets = source.offsets(weights);
        let reads =
            buffers.iter().map(|&buffer| Read { buffer, num: block, den: 1, offsets: offsets.clone() }).collect();
        let (residual, reads) = with_skip(reads, skip);
        let kind = Kind::Conv(Conv { packed, spread, clamp, residual });
        let macs = weights.outputs * weights.inputs * weights.kernel * weights.kernel;
        let unit = match (spread, sum) {
            (1, _) => Unit::Row,
            (n, None) => Unit::Spread(n),
            (n, Some(_)) => Unit::SpreadSum(n),
        };
        self.push(&output.name, kind, reads, target, unit, macs).map(drop)
    }

    fn depthwise(
        &self,
        weights: &ConvWeights,
        input: (f32, u8),
        scale: f32,
        clamp: Clamp,
        residual: Option<Fused>,
    ) -> Result<Kind, String> {
        let channels = weights.outputs;
        if !channels.is_multiple_of(8) {
            return Err(format!("depth-wise over {channels} channels; multiples of 8 are supported"));
        }
        let (mut data, mut bias, mut multiplier) = (vec![0; 9 * channels], vec![0; channels], vec![0.0; channels]);
        for c in 0..channels {
            let w = &weights.data[9 * c..][..9];
            for (tap, &w) in w.iter().enumerate() {
                data[tap * channels + c] = w;
            }
            (bias[c], multiplier[c]) = requantisation(w, weights.scales[c], weights.bias[c], input, scale)?;
        }
        let packed = self.level.pack_depthwise(&DepthwiseWeights {
            data: &data,
            bias: &bias,
            multiplier: &multiplier,
            channels,
        });
        Ok(Kind::Depthwise(Depthwise { packed, dilation: weights.dilation, clamp, residual }))
    }

    /// The other addend of a sum that a convolution is fused into.
    fn residual(&self, value_scale: f32, add: &Node, other: Input, spread: usize) -> Result<(Fused, Read), String> {
        let skip = self.tensor(other);
        let sum = self.made(add);
        let fused = Fused {
            skip_zero: skip.zero_point,
            skip_ratio: ratio(skip.scale, sum.scale)?,
            value_ratio: ratio(value_scale, sum.scale)?,
            clamp: self.clamp(add),
        };
        let read = Read { num: spread, offsets: (0..spread as isize).collect(), ..Read::same(self.stored(other)?) };
        Ok((fused, read))
    }

    pub(super) fn sum(&mut self, node: &Node) -> Result<(), String> {
        if let Some((conv, operand)) = self.fused_into(node) {
            let Op::Conv(weights) = &conv.op else {
                return Err("a fused operation that is no convolution".into());
            };
            return self.convolution(conv, weights, Some((node, node.inputs[1 - operand])));
        }
        let zeroed = |i: &Input| self.zeroed.contains(&i.tensor);
        match node.inputs.iter().filter(|i| !zeroed(i)).copied().collect::<Vec<_>>()[..] {
            [one] => self.copy(node, one),
            [a, b] => {
                let (ta, tb) = (self.tensor(a), self.tensor(b));
                let output = self.made(node);
                let broadcast = self.channels(a) != self.channels(b);
                if broadcast && self.channels(b) != 1 {
                    return Err(format!("{} channels added to {}", self.channels(b), self.channels(a)));
                }
                let add = Add {
                    zeros: [ta.zero_point, tb.zero_point],
                    ratios: [ratio(ta.scale, output.scale)?, ratio(tb.scale, output.scale)?],
                    clamp: self.clamp(node),
                };
                let reads = vec![Read::same(self.stored(a)?), Read::same(self.stored(b)?)];
                self.push(&output.name, Kind::Add { add, broadcast }, reads, node.output, Unit::Row, 0).map(drop)
            }
            _ => Err("both addends belong to branches that do not run".into()),
        }
    }

    /// The first without the second.
    pub(super) fn difference(&mut self, node: &Node) -> Result<(), String> {
        let [a, b] = node.inputs[..] else { return Err("a difference of other than two".into()) };
        let (ta, tb, output) = (self.tensor(a), self.tensor(b), self.made(node));
        let add = Add {
            zeros: [ta.zero_point, tb.zero_point],
            ratios: [ratio(ta.scale, output.scale)?, -ratio(tb.scale, output.scale)?],
            clamp: self.clamp(node),
        };
        let reads = vec![Read::same(self.stored(a)?), Read::same(self.stored(b)?)];
        let kind = Kind::Add { add, broadcast: false };
        self.push(&output.name, kind, reads, node.output, Unit::Row, 0).map(drop)
    }

    /// Bytes arranged as the input is viewed, or the inputs side by side.
    pub(super) fn arrange(&mut self, node: &Node) -> Result<(), String> {
        let view = node.inputs[0].view;
        let (offsets, num, unit) = match view {
            View::DepthToSpace(n) | View::ChannelsToSpace(n) | View::Repeat(n) => (vec![0], 1, Unit::SpreadSum(n)),
            View::SpaceToDepth(n) => ((0..n as isize).collect(), n, Unit::Row),
            View::Plain | View::Channels { .. } => (vec![0], 1, Unit::Row),
            View::RepeatColumns(_) | View::RepeatRows(_) => return Err(format!("a picture seen as {view:?}")),
        };
        let mut reads = vec![];
        for input in &node.inputs {
            for tensor in self.parts(*input)? {
                let buffer = self.stored(Input { tensor, view: View::Plain })?;
                reads.push(Read { buffer, num, den: 1, offsets: offsets.clone() });
            }
        }
        let name = self.made(node).name.clone();
        self.push(&name, Kind::Arrange(view), reads, node.output, unit, 0).map(drop)
    }

    pub(super) fn table(&mut self, node: &Node, tables: Arc<[[u8; 256]]>) -> Result<(), String> {
        let read = Read::same(self.stored(node.inputs[0])?);
        let name = self.made(node).name.clone();
        self.push(&name, Kind::Table(tables), vec![read], node.output, Unit::Row, 0).map(drop)
    }

    /// The same values with another scale: a sum whose second addend has the ratio 0.
    pub(super) fn copy(&mut self, node: &Node, input: Input) -> Result<(), String> {
        let t = self.tensor(input);
        let output = self.made(node);
        let add =
            Add { zeros: [t.zero_point; 2], ratios: [ratio(t.scale, output.scale)?, 0.0], clamp: self.clamp(node) };
        let read = Read::same(self.stored(input)?);
        self.push(
            &output.name,
            Kind::Add { add, broadcast: false },
            vec![read.clone(), read],
            node.output,
            Unit::Row,
            0,
        )
        .map(drop)
    }

    pub(super) fn gate(&mut self, node: &Node) -> Result<(), String> {
        let [x, g] = node.inputs[..] else { return Err("a product of other than two".into()) };
        let (tx, tg) = (self.tensor(x), self.tensor(g));
        let output = self.made(node);
        if self.channels(x) != tg.channels {
            return Err(format!("{} channels times {}", self.channels(x), tg.channels));
        }
        let stored = self.stored(Input { view: View::Plain, ..g })?;
        let (repeat, read) = match g.view {
            View::RepeatColumns(n) => (n, Read::same(stored)),
            View::RepeatRows(n) => (1, Read { den: n, ..Read::same(stored) }),
            View::Plain => (1, Read::same(stored)),
            view => return Err(format!("a gate seen as {view:?}")),
        };
        let multiplier = product(tx.scale, tg.scale, output.scale, BYTE * BYTE)?;
        let gate = Gate { zeros: [tx.zero_point, tg.zero_point], multiplier, clamp: self.clamp(node), repeat };
        let reads = vec![Read::same(self.stored(x)?), read];
        self.push(&output.name, Kind::Gate(gate), reads, node.output, Unit::Row, 0).map(drop)
    }

    pub(super) fn pool(&mut self, node: &Node, count: usize, columns: bool) -> Result<(), String> {
        let t = self.tensor(node.inputs[0]);
        let output = self.made(node);
        let stored = self.stored(node.inputs[0])?;
        let read = if columns {
            Read::same(stored)
        } else {
            Read { num: count, offsets: (0..count as isize).collect(), ..Read::same(stored) }
        };
        let bias = -(count as i32) * i32::from(t.zero_point);
        let multiplier = bounded(f64::from(t.scale) / f64::from(output.scale) / count as f64, count as f64 * BYTE)?;
        let kind = Kind::Pool { pool: Pool { count, bias, multiplier, clamp: self.clamp(node) }, columns };
        self.push(&output.name, kind, vec![read], node.output, Unit::Row, 0).map(drop)
    }

    pub(super) fn attention(
        &mut self,
        node: &Node,
        window: usize,
        shift: usize,
        scores: (f32, u8),
    ) -> Result<(), String> {
        let [q, k, v] = [0, 1, 2].map(|i| self.tensor(node.inputs[i]));
        let output = self.made(node);
        if k.zero_point != 128 || v.zero_point != 128 {
            return Err("keys and values need zero point 128".into());
        }
        let tokens = window * window;
        let fits =
            q.channels == k.channels && [k.channels, v.channels].iter().all(|c| c % 8 == 0) && tokens.is_multiple_of(8);
        if !fits {
            return Err(format!(
                "{} query, {} key and {} value channels; multiples of 8 are supported",
                q.channels, k.channels, v.channels
            ));
        }
        let kind = Kind::Attention(Attention {
            window,
            shift,
            kernel: WindowAttention {
                tokens,
                keys: k.channels,
                values: v.channels,
                query_zero: q.zero_point,
                score_multiplier: product(q.scale, k.scale, scores.0, k.channels as f64 * BYTE * BYTE)?,
                scores: Clamp { zero_point: scores.1, low: scores.1, high: 255 },
                multiplier: product(scores.0, v.scale, output.scale, tokens as f64 * BYTE * BYTE)?,
                clamp: self.clamp(node),
            },
        });
        let offsets: Vec<isize> = (0..window as isize).map(|r| r - shift as isize).collect();
        let read = |input: Input| {
            self.stored(input).map(|buffer| Read { buffer, num: window, den: 1, offsets: offsets.clone() })
        };
        let reads = node.inputs.iter().map(|i| read(*i)).collect::<Result<Vec<_>, _>>()?;
        let macs = window * tokens * (k.channels + v.channels);
        self.push(&output.name, kind, reads, node.output, Unit::Windows { window, shift }, macs).map(drop)
    }
}

fn with_skip(mut reads: Vec<Read>, skip: Option<(Fused, Read)>) -> (Option<Fused>, Vec<Read>) {
    let residual = skip.map(|(fused, read)| {
        reads.push(read);
        fused
    });
    (residual, reads)
}

/// The most that a byte's distance from its zero point can be.
const BYTE: f64 = 255.0;

/// What a sum of products of values with these scales is multiplied by to count in steps of `of`. The sum is at most
/// `largest`.
fn product(a: f32, b: f32, of: f32, largest: f64) -> Result<f32, String> {
    bounded(f64::from(a) * f64::from(b) / f64::from(of), largest)
}

/// What a distance from a zero point is multiplied by to count in steps of `of`.
fn ratio(scale: f32, of: f32) -> Result<f32, String> {
    bounded(f64::from(scale) / f64::from(of), BYTE)
}

/// A multiplier that keeps a value of at most `largest`, and the sum of two such, inside 32 bits: beyond them the levels
/// round to different bytes.
fn bounded(multiplier: f64, largest: f64) -> Result<f32, String> {
    let single = multiplier as f32;
    let fits = f64::from(single) * largest < f64::from(i32::MAX / 4) && largest < f64::from(i32::MAX / 4);
    if fits { Ok(single) } else { Err(format!("scales that make numbers of more than 32 bits, {multiplier:e} times")) }
}
