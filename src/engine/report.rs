//! What `plan` prints.

use std::fmt;

use crate::geom::Size;
use crate::memory::display_bytes;

/// A Step in a [`Report`].
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct StepReport {
    /// Name of the operation in the file.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// Multiply-adds of a frame.
    pub macs: u64,
    /// Bytes of weights.
    pub weight_bytes: usize,
    /// Buffer that it writes.
    pub writes: String,
}

/// A buffer in a [`Report`].
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct BufferReport {
    /// Tensor.
    pub name: String,
    /// Slot of the arena; buffers whose lifetimes do not meet may share one.
    pub slot: usize,
    /// Rows that are kept.
    pub rows: usize,
    /// Bytes of a row.
    pub row_bytes: usize,
}

/// The tile and memory plan of an engine.
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// Unit of work in input pixels: a strip of the full width, or a tile.
    pub tile: Size,
    /// Rows of a pass over the Steps.
    pub strip: usize,
    /// Input pixels around a tile that are computed twice; 0 for strips.
    pub halo: usize,
    /// Frame, padded to the window grid.
    pub frame: Size,
    /// Output frame.
    pub output: Size,
    /// Threads.
    pub threads: usize,
    /// Kernels.
    pub level: &'static str,
    /// Branches.
    pub branches: &'static str,
    /// Budget given.
    pub budget_bytes: usize,
    /// Least budget that works for this frame; [`super::survey`] works it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_budget_bytes: Option<usize>,
    /// Everything that the engine allocates.
    pub total_bytes: usize,
    /// The arena.
    pub arena_bytes: usize,
    /// Packed weights.
    pub weight_bytes: usize,
    /// Source rows and filters for colour.
    pub colour_bytes: usize,
    /// The model that the engine was prepared with. It is not part of the total, and can be dropped after PREPARE.
    pub model_bytes: usize,
    /// Multiply-adds of a frame, recomputed ones included: the most where windows get what they need.
    pub macs_per_frame: u64,
    /// The least: nothing where every window may be left out.
    pub least_macs_per_frame: u64,
    /// Executed multiply-adds over those of the whole (padded) frame at once.
    pub mac_overhead: f64,
    /// Steps in the order of execution.
    pub steps: Vec<StepReport>,
    /// Buffers.
    pub buffers: Vec<BufferReport>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "frame      {} padded, to {}", self.frame, self.output)?;
        let what = if self.halo == 0 { "strip, nothing recomputed" } else { "tile" };
        writeln!(f, "tile       {} ({what}), halo {}, overhead {:.3}", self.tile, self.halo, self.mac_overhead)?;
        writeln!(f, "run        level {}, branches {}, threads {}", self.level, self.branches, self.threads)?;
        write!(f, "budget     {} given", display_bytes(self.budget_bytes))?;
        self.min_budget_bytes.map_or(Ok(()), |least| write!(f, ", {} is the least", display_bytes(least)))?;
        writeln!(f)?;
        writeln!(
            f,
            "memory     {} in all: arena {}",
            display_bytes(self.total_bytes),
            display_bytes(self.arena_bytes)
        )?;
        writeln!(
            f,
            "           weights {}, colour {}; the model holds {} until it is dropped",
            display_bytes(self.weight_bytes),
            display_bytes(self.colour_bytes),
            display_bytes(self.model_bytes)
        )?;
        let [least, most] = [self.least_macs_per_frame, self.macs_per_frame].map(|macs| macs as f64 / 1e9);
        match least < most {
            true => writeln!(f, "work       {least:.3} to {most:.3} GMAC a frame\n")?,
            false => writeln!(f, "work       {most:.3} GMAC a frame\n")?,
        }
        writeln!(f, "{:<28} {:<14} {:>10} {:>6} {:>10} {:>5}", "step", "kind", "MMAC", "rows", "bytes", "slot")?;
        for step in &self.steps {
            let buffer = self.buffers.iter().find(|b| b.name == step.writes);
            let (rows, bytes, slot) = buffer.map_or((0, 0, 0), |b| (b.rows, b.rows * b.row_bytes, b.slot));
            let macs = step.macs as f64 / 1e6;
            writeln!(f, "{:<28} {:<14} {macs:>10.1} {rows:>6} {bytes:>10} {slot:>5}", step.name, step.kind)?;
        }
        Ok(())
    }
}
