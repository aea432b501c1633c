//! Steps: what FRAME runs. Each makes rows of one buffer from rows of others.

use std::ops::Range;
use std::sync::Arc;

use super::Plan;
use crate::geom::Size;
use crate::kernels::{Add, Clamp, Gate, PackedDepthwise, PackedWeights, Pool, Table, WindowAttention};
use crate::model::{Border, Ratio, View};

/// Index of a buffer in [`super::Plan::buffers`].
pub type BufferId = usize;

/// A tensor's rows in memory: `left + columns + right` pixels of `stride` bytes, channels innermost.
///
/// The border pixels hold what lies outside the tensor, so that a convolution reads it like any pixel.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Name of the tensor, or of the largest of those that share it.
    pub name: String,
    /// Bytes of a pixel.
    pub stride: usize,
    /// Rows of the tensor, as a fraction of the frame's.
    pub rows: Ratio,
    /// Columns.
    pub columns: Ratio,
    /// Border pixels on the left.
    pub left: usize,
    /// Border pixels on the right.
    pub right: usize,
    /// Byte that stands for 0.
    pub zero: u8,
    /// What lies outside.
    pub border: Border,
}

/// Wide loads may run past a row's last pixel by so much; what they load meets zero weights.
const SLACK: usize = 64;

impl Buffer {
    /// Bytes of a row for a frame `width` pixels wide.
    pub fn row_bytes(&self, width: usize) -> usize {
        (self.left + self.columns.of(width) + self.right) * self.stride + SLACK
    }

    /// Copies a row's own pixels to its border, where that is not of zeros.
    pub fn continue_row(&self, row: &mut [u8], columns: usize) {
        if self.border == Border::Zero {
            return;
        }
        let outside = (-(self.left as isize)..0).chain(columns as isize..(columns + self.right) as isize);
        for at in outside {
            if let Some(x) = self.border.inside(at, columns) {
                let to = (self.left as isize + at) as usize * self.stride;
                row.copy_within(self.pixel(x)..self.pixel(x + 1), to);
            }
        }
    }

    /// Byte of a row where pixel `x` begins.
    pub fn pixel(&self, x: usize) -> usize {
        (self.left + x) * self.stride
    }
}

/// Rows that a unit reads of a buffer: `unit * num / den + offset` for each offset, in the order of the kernel's rows.
#[derive(Clone, Debug)]
pub struct Read {
    /// Buffer.
    pub buffer: BufferId,
    /// Numerator.
    pub num: usize,
    /// Denominator.
    pub den: usize,
    /// Rows, from the base; ascending.
    pub offsets: Vec<isize>,
}

impl Read {
    /// The unit's own row.
    pub fn same(buffer: BufferId) -> Self {
        Self { buffer, num: 1, den: 1, offsets: vec![0] }
    }

    /// The row for offset zero.
    pub fn base(&self, unit: usize) -> isize {
        Ratio { num: self.num, den: self.den }.of(unit) as isize
    }

    /// First and last row for a unit; may lie outside the tensor.
    pub fn span(&self, unit: usize) -> (isize, isize) {
        let end = |o: Option<&isize>| self.base(unit) + o.copied().unwrap_or(0);
        (end(self.offsets.first()), end(self.offsets.last()))
    }
}

/// What a Step makes.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Dense convolution.
    Conv(Conv),
    /// Depth-wise 3x3 convolution.
    Depthwise(Depthwise),
    /// Sum, or a copy with another scale.
    Add {
        /// Scales and zero points.
        add: Add,
        /// The second input has one channel for all of the first's.
        broadcast: bool,
    },
    /// Product with a gate. Its `repeat` is the pixels of a row that share a gate.
    Gate(Gate),
    /// Mean over columns or rows.
    Pool {
        /// Which, and how they are quantised.
        pool: Pool,
        /// Over columns of a row? Else over rows.
        columns: bool,
    },
    /// Window attention.
    Attention(Attention),
    /// `n * n` pixels in a pixel's channels become `n` rows of `n` times the pixels.
    Shuffle(usize),
    /// The same bytes elsewhere: as the input is viewed, or several inputs side by side.
    Arrange(View),
    /// Each byte through a table: one for all channels, or one for each.
    Table(Arc<[Table]>),
}

/// A residual fused into a convolution; the skip is the Step's last read.
#[derive(Clone, Copy, Debug)]
pub struct Fused {
    /// Zero point of the skip.
    pub skip_zero: u8,
    /// Scale of the skip over the sum's.
    pub skip_ratio: f32,
    /// Scale of the convolution's output over the sum's.
    pub value_ratio: f32,
    /// Where the sum may lie.
    pub clamp: Clamp,
}

/// A dense convolution with bias, requantisation, clamp and, perhaps, a residual.
#[derive(Clone, Debug)]
pub struct Conv {
    /// One for each of the `spread * spread` pixels that a unit makes of a pixel, in (row, column) order. Their taps count the rows
    /// of all reads but the residual's, one after another.
    pub packed: Vec<PackedWeights>,
    /// 1, or the factor by which depth becomes space.
    pub spread: usize,
    /// Where the requantised sum may lie.
    pub clamp: Clamp,
    /// Residual.
    pub residual: Option<Fused>,
}

impl Conv {
    /// Is it faster to make two units at once, which are a row each?
    pub fn joins_rows(&self) -> bool {
        self.spread == 1 && self.packed[0].joins_rows()
    }
}

/// A depth-wise convolution.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// Weights.
    pub packed: PackedDepthwise,
    /// Distance between taps in pixels.
    pub dilation: usize,
    /// Where the requantised sum may lie.
    pub clamp: Clamp,
    /// Residual.
    pub residual: Option<Fused>,
}

/// Window attention; reads queries, keys and values.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Side of a window.
    pub window: usize,
    /// How far the grid is moved up and left.
    pub shift: usize,
    /// What is computed in a window.
    pub kernel: WindowAttention,
}

/// A Step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Name of the operation in the file.
    pub name: String,
    /// What it makes.
    pub kind: Kind,
    /// What it reads.
    pub reads: Vec<Read>,
    /// What it writes.
    pub write: BufferId,
    /// Units, as a fraction of the frame's rows; attention on a shifted grid has one more.
    pub units: Ratio,
    /// See `units`.
    pub extra_unit: bool,
    /// Rows that a unit writes, before the tensor's borders cut them.
    pub unit_rows: usize,
    /// The first unit's first row: minus the shift of attention's grid.
    pub first_row: isize,
    /// Multiply-adds for one column (see `mac_columns`) of one unit.
    pub macs: usize,
    /// Columns that `macs` are counted by.
    pub mac_columns: Ratio,
}

impl Step {
    /// Units for a frame `height` rows high.
    pub fn unit_count(&self, height: usize) -> usize {
        self.units.of(height) + usize::from(self.extra_unit)
    }

    /// Rows of its tensor that are made once `units` are done.
    pub fn rows_done(&self, units: usize, rows: usize) -> usize {
        (self.first_row + (units * self.unit_rows) as isize).clamp(0, rows as isize) as usize
    }

    /// Multiply-adds over a frame.
    pub fn frame_macs(&self, width: usize, height: usize) -> u64 {
        (self.macs * self.mac_columns.of(width) * self.units.of(height)) as u64
    }

    /// Multiply-adds of whole units of a frame.
    pub fn unit_macs(&self, units: Range<usize>, frame: Size, plan: &Plan) -> u64 {
        let rows = plan.buffers[self.write].rows.of(frame.height);
        let made = self.rows_done(units.end, rows) - self.rows_done(units.start, rows);
        (self.macs * self.mac_columns.of(frame.width) * made / self.unit_rows) as u64
    }

    /// What it is, in a word.
    pub fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Conv(c) if c.residual.is_some() => "conv+add",
            Kind::Conv(_) => "conv",
            Kind::Depthwise(d) if d.residual.is_some() => "depthwise+add",
            Kind::Depthwise(_) => "depthwise",
            Kind::Add { .. } => "add",
            Kind::Gate(_) => "gate",
            Kind::Pool { .. } => "pool",
            Kind::Attention(_) => "attention",
            Kind::Shuffle(_) => "shuffle",
            Kind::Arrange(_) => "arrange",
            Kind::Table(_) => "table",
        }
    }

    /// Bytes of its weights.
    pub fn weight_bytes(&self) -> usize {
        match &self.kind {
            Kind::Conv(c) => c.packed.iter().map(PackedWeights::bytes).sum(),
            Kind::Depthwise(d) => d.packed.bytes(),
            Kind::Table(tables) => size_of_val(&**tables),
            _ => 0,
        }
    }
}
