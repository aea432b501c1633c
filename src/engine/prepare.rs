//! Chooses strips or tiles for a budget, and counts every byte.

use super::classes::ClassMap;
use super::exec::Scratch;
use super::layout::Layout;
use super::report::{BufferReport, StepReport};
use super::router::Router;
use super::runner::STACK;
use super::still::Watch;
use super::{Options, PrepareError, Report};
use crate::frame::Colour;
use crate::geom::Size;
use crate::model::Model;
use crate::plan::{Buffer, Plan, Step, Strips, Wavefront};
use crate::tile::{Grid, Tile};

/// Rows of a pass, the best first: eight keep a Step's rows in the cache.
const STRIPS: [usize; 5] = [8, 16, 4, 2, 1];
/// The same for several threads. Those of whole windows make passes of equal length, and fewer to hand out.
const SHARED_STRIPS: [usize; 5] = [16, 8, 4, 2, 1];
/// Frames up to this wide take the same: the cache holds sixteen of their rows, and what a pass costs at any width, half
/// as often, is a fiftieth of their time.
const NARROW: usize = 160;
/// Sides of tiles that are tried when strips do not fit, largest first.
const TILES: [usize; 8] = [1024, 512, 256, 128, 96, 64, 32, 16];
/// The schedule repeats with the window grid: a frame of this height shows all that a taller one would.
const PERIODS: usize = 40;
/// Plans, options and the like: small, and the same for every frame.
const FIXED: usize = 76 << 10;

/// A way to run frames.
#[derive(Clone, Debug)]
pub struct Choice {
    pub grid: Grid,
    pub layout: Layout,
    /// Bytes of a band, in and out, when there are tiles.
    pub bands: Option<(usize, usize)>,
    /// Source rows kept for colour.
    pub kept: usize,
    /// Rows that the router keeps, when there are routes.
    pub held: usize,
    pub bytes: usize,
}

impl Choice {
    /// Does a strip of the frame's full width run through all Steps, with no tiles?
    pub fn strips(&self) -> bool {
        self.bands.is_none()
    }
}

/// The best choice that fits the budget.
pub fn choose(plan: &Plan, options: &Options) -> Result<Choice, PrepareError> {
    let fitting = candidates(plan, options).find(|choice| choice.bytes <= options.budget.0);
    fitting.ok_or_else(|| PrepareError::Budget { needed: least(plan, options), given: options.budget.0 })
}

/// The least that any choice takes.
pub fn least(plan: &Plan, options: &Options) -> usize {
    candidates(plan, options).map(|choice| choice.bytes).min().unwrap_or(usize::MAX)
}

/// Ways to run the frame, the best first: strips of full width, which recompute nothing, then ever smaller tiles.
fn candidates<'a>(plan: &'a Plan, options: &'a Options) -> impl Iterator<Item = Choice> + 'a {
    let frame = options.size.padded(plan.grid);
    let halo = plan.halo();
    let whole = Grid { frame, tile: frame, halo };
    let square = move |side: usize| {
        let side = side.next_multiple_of(plan.grid);
        Grid { frame, tile: Size::new(side.min(frame.width), side.min(frame.height)), halo }
    };
    let grids: Vec<Grid> = match options.tile {
        Tile::Fixed(side) if side < frame.width => vec![square(side)],
        Tile::Fixed(_) => vec![whole],
        Tile::Auto => {
            let tiles = TILES.into_iter().filter(|side| *side < frame.width).map(square);
            std::iter::once(whole).chain(tiles).collect()
        }
    };
    let strips = if options.threads > 1 || frame.width <= NARROW { SHARED_STRIPS } else { STRIPS };
    let pairs = grids.into_iter().flat_map(move |grid| strips.map(|strip| (grid, strip)));
    pairs.map(|(grid, strip)| candidate(plan, options, grid, strip))
}

fn candidate(plan: &Plan, options: &Options, grid: Grid, strip: usize) -> Choice {
    let tiled = grid.tile != grid.frame;
    let size = grid.largest();
    let period = plan.grid.max(strip).next_multiple_of(plan.grid);
    let tallest = PERIODS * period;
    let as_tall = |h: usize| if h > tallest { tallest + h % period } else { h };
    let mut heights: Vec<usize> = grid.heights().into_iter().map(as_tall).collect();
    heights.dedup();
    let wavefront = Wavefront::new(plan, options.threads);
    let layouts = [strip, strip.div_ceil(4)].map(|first| {
        let strips = Strips { first, rows: strip };
        Layout::new(plan, size, &heights, strips, wavefront.clone())
    });
    let [even, early] = layouts;
    let layout = if early.bytes() < even.bytes() { early } else { even };
    let mut bands = None;
    let ahead = plan.routing.as_ref().map_or(0, |routing| routing.ahead + routing.window);
    let kept = if tiled {
        let rows = (grid.tile.height + 2 * grid.halo).min(grid.frame.height);
        let width = plan.channels * grid.frame.width;
        bands = Some((rows * width, plan.scale * plan.scale * grid.tile.height * width));
        rows + 4
    } else {
        layout.lag + 4 + ahead
    };
    let held = if tiled { 0 } else { kept.min(grid.frame.height) };
    let kept = kept.min(options.size.height);
    let routed = plan.routing.as_ref().map_or(0, |routing| {
        Router::bytes(options.size, plan.scale, routing, held) + ClassMap::bytes(size, routing.window)
    });
    let ranges = plan.routing.as_ref().map_or(0, |routing| size.width.div_ceil(routing.window) + 1);
    let scratch = Scratch::new(plan, options.level, ranges).bytes();
    let colour = colour_bytes(plan, options, kept);
    let shown = plan.shown_bytes(options.size.width);
    let out = plan.scale * options.size.width * options.format.channels() + shown;
    let threads = options.threads * scratch + (options.threads - 1) * STACK;
    let bytes = layout.bytes()
        + plan.weight_bytes()
        + threads
        + colour
        + out
        + routed
        + plan.routing.as_ref().map_or(0, |routing| watch_bytes(options, routing.window))
        + bands.map_or(0, |(i, o)| i + o)
        + FIXED;
    Choice { grid, layout, bands, kept, held, bytes }
}

/// What watching for windows that stand still allocates.
pub fn watch_bytes(options: &Options, window: usize) -> usize {
    let watched = options.still.is_some() && !options.told;
    if watched { Watch::bytes(options.size, &options.shapes(), window) } else { 0 }
}

/// What colour and chroma allocate when so many source rows are kept.
fn colour_bytes(plan: &Plan, options: &Options, kept: usize) -> usize {
    Colour::bytes(options.format, options.size.width, plan.scale, kept) + options.chroma_bytes(plan.scale)
}

/// What `plan` prints of a choice.
pub fn report(plan: &Plan, options: &Options, model: &Model, choice: &Choice, least: Option<usize>) -> Report {
    let frame = choice.grid.frame;
    let size = choice.grid.largest();
    let step = |s: &Step| StepReport {
        name: s.name.clone(),
        kind: s.what(),
        macs: s.frame_macs(frame.width, frame.height),
        weight_bytes: s.weight_bytes(),
        writes: plan.buffers[s.write].name.clone(),
    };
    let buffer = |(i, b): (usize, &Buffer)| BufferReport {
        name: b.name.clone(),
        slot: choice.layout.slot(0, i),
        rows: choice.layout.ring[i],
        row_bytes: b.row_bytes(size.width),
    };
    let macs = plan.macs(frame);
    let overhead = choice.grid.overhead();
    let tile = if choice.strips() { Size::new(frame.width, choice.layout.strips.rows) } else { choice.grid.tile };
    Report {
        tile,
        strip: choice.layout.strips.rows,
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
        colour_bytes: colour_bytes(plan, options, choice.kept),
        model_bytes: model.bytes(),
        macs_per_frame: (macs as f64 * overhead) as u64,
        least_macs_per_frame: if plan.routing.as_ref().is_some_and(|_| options.may_leave_out()) {
            0
        } else {
            (macs as f64 * overhead) as u64
        },
        mac_overhead: overhead,
        steps: plan.steps.iter().map(step).collect(),
        buffers: plan.buffers.iter().enumerate().map(buffer).collect(),
    }
}
