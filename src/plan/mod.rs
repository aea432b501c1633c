//! `Graph` to Steps: recognise, fuse, requantise, and say which rows must be kept.

mod emit;
mod lower;
mod pack;
mod route;
mod schedule;
mod step;

use crate::geom::Size;
use crate::kernels::Level;
use crate::model::{Branches, Model, ModelError, Order};

pub use lower::MOST_ROWS;
pub use route::{Class, Need, Routing, Silent, StepRoute};
pub use schedule::{Progress, RowNeeds, Strips, Wavefront, simulate};
pub use step::{Attention, Buffer, BufferId, Conv, Depthwise, Fused, Kind, Read, Step};

/// Why there is no plan for a model.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An operation in a form or position that no Step covers.
    #[error("model {model}: node '{node}': {reason}")]
    Unsupported {
        /// The model.
        model: String,
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// The branches cannot be run.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The Steps for a model, a level and a choice of branches; they fit every frame size.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Tensors in memory.
    pub buffers: Vec<Buffer>,
    /// In the order of execution.
    pub steps: Vec<Step>,
    /// The Step that writes each buffer; none writes the picture.
    pub writer: Vec<Option<usize>>,
    /// The picture, [`Plan::channels`] bytes a pixel.
    pub input: BufferId,
    /// The upscaled picture, as many.
    pub output: BufferId,
    /// Output pixels for an input pixel, along one axis.
    pub scale: usize,
    /// 1 (luma) or 3.
    pub channels: usize,
    /// Order of three colours.
    pub order: Order,
    /// Frames are padded to multiples of this.
    pub grid: usize,
    /// Byte of the picture to byte of the input tensor, when they differ.
    pub input_table: Option<Box<[u8; 256]>>,
    /// Byte of the output tensor to byte of the picture, when they differ.
    pub output_table: Option<Box<[u8; 256]>>,
    /// What Steps are needed for, when windows have classes.
    pub routing: Option<Routing>,
}

impl Plan {
    /// Plans `model` for `level`.
    pub fn new(model: &Model, branches: Branches, level: Level) -> Result<Self, PlanError> {
        lower::lower(model, branches, level)
    }

    /// Multiply-adds of a frame, padded to the grid.
    pub fn macs(&self, size: Size) -> u64 {
        self.steps.iter().map(|s| s.frame_macs(size.width, size.height)).sum()
    }

    /// Bytes of an output row that is kept beside the one that is given out: one that is looked up, or that has colours.
    pub fn shown_bytes(&self, width: usize) -> usize {
        let kept = self.output_table.is_some() || self.channels > 1;
        usize::from(kept) * self.scale * width * self.channels
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> usize {
        self.steps.iter().map(Step::weight_bytes).sum()
    }

    /// Input pixels from a cut edge of the frame that an output pixel must keep so that it cannot be seen.
    ///
    /// A pixel is tainted when it may differ from that of the whole frame. Convolutions taint their reach;
    /// windows and pools taint every pixel that shares a window with a tainted one.
    pub fn halo(&self) -> usize {
        let mut taint = vec![0usize; self.buffers.len()];
        for step in &self.steps {
            let own = step.reads.iter().map(|r| self.reach(step, r, taint[r.buffer])).max();
            taint[step.write] = own.unwrap_or(0);
        }
        taint[self.output].next_multiple_of(self.grid)
    }

    /// Taint of what `step` makes from a read with this taint, in input pixels.
    fn reach(&self, step: &Step, read: &Read, taint: usize) -> usize {
        let pixel = self.buffers[read.buffer].rows;
        let real = |rows: usize| (rows * pixel.den).div_ceil(pixel.num);
        match &step.kind {
            Kind::Attention(a) => {
                let (window, shift) = (real(a.window), real(a.shift));
                // On a shifted grid the window at the edge sees clamped pixels: it is tainted in any case.
                if shift > 0 {
                    shift + taint.saturating_sub(shift).next_multiple_of(window)
                } else {
                    taint.next_multiple_of(window)
                }
            }
            Kind::Pool { .. } | Kind::Gate(_) => taint.next_multiple_of(self.grid),
            _ => {
                let low = read.offsets.first().map_or(0, |o| o.unsigned_abs());
                let high = read.offsets.last().map_or(0, |o| o.unsigned_abs());
                let block = (read.num / read.den.max(1)).max(1) - 1; // rows that belong to the unit itself
                taint + real(low.max(high.saturating_sub(block)))
            }
        }
    }
}
