//! The network as the plan sees it: quantised tensors, and the operations between them.

use std::sync::Arc;

use super::format::{Order, Range};

/// Index of a tensor in [`Graph::tensors`].
pub type TensorId = usize;

/// A quantised activation: `real = (byte - zero_point) * scale`.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Name of the operation that makes it, for messages and for `branches`.
    pub name: String,
    /// Channels.
    pub channels: usize,
    /// Rows and columns, as a fraction of the frame's.
    pub rows: Ratio,
    /// See `rows`.
    pub columns: Ratio,
    /// Step of a byte.
    pub scale: f32,
    /// Byte that stands for 0.
    pub zero_point: u8,
}

/// `num / den` of the frame's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Numerator.
    pub num: usize,
    /// Denominator.
    pub den: usize,
}

impl Ratio {
    /// The frame itself.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// In lowest terms.
    pub fn new(num: usize, den: usize) -> Self {
        let divisor = Self::gcd(num, den).max(1);
        Self { num: num / divisor, den: den / divisor }
    }

    /// Greatest common divisor; that of 0 and `n` is `n`.
    pub fn gcd(mut a: usize, mut b: usize) -> usize {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    }

    /// This part of `n` pixels; exact when `n` is a multiple of the window grid.
    pub fn of(self, n: usize) -> usize {
        // Asked for at every row, where a division that the compiler knows nothing of would show.
        match self.den {
            1 => n * self.num,
            2 => n * self.num / 2,
            den => n * self.num / den,
        }
    }
}

/// How an operation looks at its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// As it is.
    Plain,
    /// n x n pixels become n * n times the channels, in the order (row, column, channel).
    SpaceToDepth(usize),
    /// The inverse.
    DepthToSpace(usize),
    /// Each pixel repeated this many times along its row.
    RepeatColumns(usize),
    /// Each row repeated this many times.
    RepeatRows(usize),
    /// Each pixel repeated this many times along its row, and each row as often.
    Repeat(usize),
    /// Some of the channels.
    Channels {
        /// The first.
        first: usize,
        /// How many.
        count: usize,
    },
    /// Depth to space whose channels lie in the order (channel, row, column); none is left once a file is read.
    ChannelsToSpace(usize),
}

impl View {
    /// Channels that a tensor of `channels` is seen to have.
    pub fn channels(self, channels: usize) -> usize {
        match self {
            Self::SpaceToDepth(n) => n * n * channels,
            Self::DepthToSpace(n) | Self::ChannelsToSpace(n) => channels / (n * n),
            Self::Channels { count, .. } => count,
            _ => channels,
        }
    }
}

/// An input: a tensor and how it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// The tensor.
    pub tensor: TensorId,
    /// The view.
    pub view: View,
}

/// What lies outside a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    #[default]
    Zero,
    /// The nearest pixel.
    Edge,
    /// The picture mirrored at the middle of its last pixels.
    Reflect,
}

impl Border {
    /// The place inside `0..length` that stands for `at`; none where zeros do.
    pub fn inside(self, at: isize, length: usize) -> Option<usize> {
        let last = length as isize - 1;
        if (0..=last).contains(&at) {
            return Some(at as usize);
        }
        match self {
            Self::Zero => None,
            Self::Edge => Some(at.clamp(0, last) as usize),
            Self::Reflect => Some((if at < 0 { -at } else { 2 * last - at }).clamp(0, last) as usize),
        }
    }
}

/// Weights of a convolution.
#[derive(Clone, Debug)]
pub struct ConvWeights {
    /// `[outputs][inputs / groups][kernel][kernel]`.
    pub data: Vec<i8>,
    /// One scale per output.
    pub scales: Vec<f32>,
    /// Real bias, one per output.
    pub bias: Vec<f32>,
    /// Outputs.
    pub outputs: usize,
    /// Inputs that one output sees.
    pub inputs: usize,
    /// Side of the (odd) kernel.
    pub kernel: usize,
    /// Distance between taps.
    pub dilation: usize,
    /// One input channel for each output?
    pub depthwise: bool,
    /// What it reads outside its input.
    pub border: Border,
}

/// An operation on real values, before its output is quantised.
#[derive(Clone, Debug)]
pub enum Op {
    /// The picture: luma, or three colours.
    Picture,
    /// Convolution, stride 1, padding that keeps the size.
    Conv(ConvWeights),
    /// Sum of two tensors; the second may have one channel for all of the first's.
    Add,
    /// The first tensor without the second.
    Subtract,
    /// Product of a tensor with a gate.
    Gate,
    /// Mean over `n` columns of a row.
    PoolColumns(usize),
    /// Mean over `n` rows.
    PoolRows(usize),
    /// Channels side by side.
    Concat,
    /// The same values with another scale or layout.
    Copy,
    /// The same bytes, arranged as the input is viewed.
    Arrange,
    /// Each byte through a table: one for all channels, or one for each.
    Table(Arc<[[u8; 256]]>),
    /// `relu(q k^T) v` within windows of `window` x `window` pixels; the grid is moved up and left by
    /// `shift`, and pixels outside the frame are the nearest inside.
    Attention {
        /// Side of a window.
        window: usize,
        /// Shift of the grid.
        shift: usize,
        /// Quantisation of the scores.
        scores: (f32, u8),
    },
}

/// An operation with its inputs and output; `low..=high` is what the output's bytes may be.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// Inputs.
    pub inputs: Vec<Input>,
    /// Output.
    pub output: TensorId,
    /// Least byte of the output.
    pub low: u8,
    /// Greatest byte of the output.
    pub high: u8,
}

/// The network, in the order of execution.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Tensors.
    pub tensors: Vec<Tensor>,
    /// Operations; the first is [`Op::Picture`].
    pub nodes: Vec<Node>,
    /// The upscaled picture: a tensor of `scale^2` channels, or one, and how it is looked at.
    pub output: Input,
    /// Output pixels for an input pixel, along one axis.
    pub scale: usize,
    /// 1 (luma) or 3.
    pub channels: usize,
    /// What the numbers of the picture mean.
    pub range: Range,
    /// Order of three colours.
    pub order: Order,
}
