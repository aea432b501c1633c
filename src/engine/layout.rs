//! Where everything lives in the arena, for one size of frame or tile.

use crate::geom::Size;
use crate::memory::{Arena, LANES, Lifetime, Slot, share};
use crate::plan::{Kind, Plan, simulate};

/// Slots for the buffers, the blank rows and what the engine adds.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Rows of a pass, at most.
    pub strip: usize,
    /// Slot of each buffer.
    pub slot_of: Vec<usize>,
    /// Rows of each buffer's ring.
    pub ring: Vec<usize>,
    /// Lanes that each buffer's row is cut into, and windows in a lane; one lane where Steps write whole rows.
    pub lanes: Vec<(usize, usize)>,
    /// Slot with a row of each zero point that convolutions read outside the frame, in the order of `blanks`.
    pub blank: usize,
    /// The zero points.
    pub blanks: Vec<u8>,
    /// Shapes of all slots.
    pub slots: Vec<Slot>,
    /// Input rows from the newest to the oldest that an output row stands over.
    pub lag: usize,
}

impl Layout {
    /// For sub-frames of at most `size`, run in strips of `strip` rows. `heights` are all that occur.
    pub fn new(plan: &Plan, size: Size, heights: &[usize], strip: usize) -> Self {
        let all: Vec<_> = heights.iter().map(|&h| simulate(plan, h, strip)).collect();
        let count = plan.buffers.len();
        let ring: Vec<usize> = (0..count).map(|b| all.iter().map(|n| n.rows[b]).max().unwrap_or(1)).collect();
        let lanes: Vec<_> = (0..count).map(|b| lanes(plan, b, size.width)).collect();
        let shape = |b: usize| {
            let buffer = &plan.buffers[b];
            let slot = Slot::new(ring[b], buffer.row_bytes(size.width));
            match plan.writer[b].map(|s| &plan.steps[s].kind) {
                Some(Kind::Attention(a)) => {
                    let bytes = lanes[b].1 * a.window * buffer.stride;
                    Slot { lanes: (buffer.pixel(0) + bytes - a.shift * buffer.stride, bytes), ..slot }
                }
                _ => slot,
            }
        };
        // Borders are written once, so tenants of a slot must have the same; a buffer is carried if it is at any height.
        let lifetime = |b: usize| {
            all.iter().map(|n| n.lifetimes[b]).find(|l| *l == Lifetime::Carried).unwrap_or(all[0].lifetimes[b])
        };
        let border =
            |b: usize| (plan.buffers[b].stride, plan.buffers[b].left, plan.buffers[b].right, plan.buffers[b].zero);
        let tenancy = share(&(0..count).map(|b| (shape(b), lifetime(b), border(b))).collect::<Vec<_>>());
        let mut slots = tenancy.slots;
        let mut blanks: Vec<u8> = plan.buffers.iter().map(|b| b.zero).collect();
        blanks.sort_unstable();
        blanks.dedup();
        let widest = plan.buffers.iter().map(|b| b.row_bytes(size.width)).max().unwrap_or(0);
        slots.push(Slot::new(blanks.len(), widest));
        let lag = all.iter().map(|n| n.lag).max().unwrap_or(0);
        Self { strip, slot_of: tenancy.slot_of, ring, lanes, blank: slots.len() - 1, blanks, slots, lag }
    }

    /// Bytes of the arena.
    pub fn bytes(&self) -> usize {
        Arena::bytes(&self.slots)
    }
}

/// Lanes of a buffer's row, and windows in each.
fn lanes(plan: &Plan, buffer: usize, width: usize) -> (usize, usize) {
    match plan.writer[buffer].map(|s| &plan.steps[s].kind) {
        Some(Kind::Attention(a)) => {
            let windows = plan.buffers[buffer].columns.of(width) / a.window + usize::from(a.shift > 0);
            let each = windows.div_ceil(LANES);
            (windows.div_ceil(each), each)
        }
        _ => (1, 0),
    }
}
