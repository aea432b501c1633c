//! Chooses strips or tiles for a budget, and counts every byte.

use super::exec::Scratch;
use super::layout::Layout;
use super::runner::STACK;
use super::{Options, PrepareError, Report};
use super::report::{BufferReport, StepReport};
use crate::frame::Colour;
use crate::geom::Size;
use crate::plan::Plan;
use crate::tile::{Grid, Tile};

/// Rows of a pass, the best first: eight keep a Step's rows in the cache and its threads busy.
const STRIPS: [usize; 5] = [8, 16, 4, 2, 1];
/// Sides of tiles that are tried when strips do not fit, largest first.
const TILES: [usize; 8] = [1024, 512, 256, 128, 96, 64, 32, 16];
/// The schedule repeats with the window grid: a frame of this height shows all that a taller one would.
const PERIODS: usize = 40;
/// Plans, options and the like: small, and the same for every frame.
const FIXED: usize = 64 << 10;

/// A way to run frames.
#[derive(Clone, Debug)]
pub struct Choice {
    pub grid: Grid,
    pub layout: Layout,
    /// Bytes of a band's luma, in and out, when there are tiles.
    pub bands: Option<(usize, usize)>,
    /// Source rows kept for colour.
    pub kept: usize,
    pub bytes: usize,
}

impl Choice {
    /// Does a strip of the frame's full width run through all Steps, with no tiles?
    pub fn strips(&self) -> bool {
        self.bands.is_none()
    }
}

/// The best choice for the budget, and the least that any choice takes.
pub fn choose(plan: &Plan, options: &Options) -> Result<(Choice, usize), PrepareError> {
    let frame = options.size.padded(plan.grid);
    let halo = plan.halo();
    let whole = Grid { frame, tile: frame, halo };
    let square = |side: usize| {
        let side = side.next_multiple_of(plan.grid);
        Grid { frame, tile: Size::new(side.min(frame.width), side.min(frame.height)), halo }
    };
    let mut grids = match options.tile {
        Tile::Fixed(side) if side < frame.width => vec![square(side)],
        _ => vec![whole],
    };
    if options.tile == Tile::Auto {
        grids.extend(TILES.into_iter().filter(|t| *t < frame.width).map(square));
    }
    let mut least = usize::MAX;
    let mut chosen: Option<Choice> = None;
    for grid in grids {
        for strip in STRIPS.into_iter().filter(|s| *s <= plan.grid) {
            if chosen.is_some() && least < usize::MAX && grid != whole {
                continue; // tiles are tried only when strips do not fit, and for the least
            }
            let choice = candidate(plan, options, grid, strip);
            least = least.min(choice.bytes);
            if choice.bytes <= options.budget.0 && chosen.is_none() {
                chosen = Some(choice);
            }
        }
    }
    match chosen {
        Some(choice) => {
            let smallest = if options.tile == Tile::Auto { smallest(plan, options, square).min(least) } else { least };
            Ok((choice, smallest))
        }
        None => Err(PrepareError::Budget { needed: least, given: options.budget.0 }),
    }
}

/// Bytes of the smallest tiles that `Tile::Auto` would try.
fn smallest(plan: &Plan, options: &Options, square: impl Fn(usize) -> Grid) -> usize {
    let sides = TILES.into_iter().rev().take(4);
    sides.map(|side| candidate(plan, options, square(side), 1).bytes).min().unwrap_or(usize::MAX)
}

fn candidate(plan: &Plan, options: &Options, grid: Grid, strip: usize) -> Choice {
    let tiled = grid.tile != grid.frame;
    let size = grid.largest();
    let tallest = PERIODS * plan.grid;
    let mut heights: Vec<usize> = grid.heights().into_iter().map(|h| h.min(tallest)).collect();
    heights.dedup();
    let layout = Layout::new(plan, size, &heights, strip);
    let mut bands = None;
    let kept = if tiled {
        let rows = (grid.tile.height + 2 * grid.halo).min(grid.frame.height);
        bands = Some((rows * grid.frame.width, plan.scale * plan.scale * grid.tile.height * grid.frame.width));
        rows + 4
    } else {
        layout.lag + 4
    };
    let kept = kept.min(options.size.height);
    let scratch = Scratch::new(plan, size.width).bytes();
    let colour = Colour::bytes(options.format, options.size.width, plan.scale, kept);
    let out = plan.scale * options.size.width * options.format.channels();
    let threads = options.threads * scratch + (options.threads - 1) * STACK;
    let bytes = layout.bytes() + plan.weight_bytes() + threads + colour + out + bands.map_or(0, |(i, o)| i + o) + FIXED;
    Choice { grid, layout, bands, kept, bytes }
}

/// What `plan` prints of a choice.
pub fn report(plan: &Plan, options: &Options, choice: &Choice, least: usize) -> Report {
    let frame = choice.grid.frame;
    let size = choice.grid.largest();
    let step = |s: &crate::plan::Step| StepReport {
        name: s.name.clone(),
        kind: s.what(),
        macs: s.frame_macs(frame.width, frame.height),
        weight_bytes: s.weight_bytes(),
        writes: plan.buffers[s.write].name.clone(),
    };
    let buffer = |(i, b): (usize, &crate::plan::Buffer)| BufferReport {
        name: b.name.clone(),
        slot: choice.layout.slot_of[i],
        rows: choice.layout.ring[i],
        row_bytes: b.row_bytes(size.width),
    };
    let macs = plan.macs(frame);
    let overhead = choice.grid.overhead();
    let tile = if choice.strips() { Size::new(frame.width, choice.layout.strip) } else { choice.grid.tile };
    Report {
        tile,
        strip: choice.layout.strip,
        halo: if choice.strips() { 0 } else { choice.grid.halo },
        frame,
        output: options.size.scaled(plan.scale),
        threads: options.threads,
        level: options.level.name(),
        branches: options.branches.name(),
        budget_bytes: options.budget.0,
        min_budget_bytes: least,
        total_bytes: choice.bytes,
        arena_bytes: choice.layout.bytes(),
        weight_bytes: plan.weight_bytes(),
        colour_bytes: Colour::bytes(options.format, options.size.width, plan.scale, choice.kept),
        macs_per_frame: (macs as f64 * overhead) as u64,
        mac_overhead: overhead,
        steps: plan.steps.iter().map(step).collect(),
        buffers: plan.buffers.iter().enumerate().map(buffer).collect(),
    }
}
