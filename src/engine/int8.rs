//! Frames through the int8 plan: strips of full width where the budget allows, else tiles.

use std::convert::Infallible;

use super::classes::{ClassMap, Routes};
use super::pace::Pace;
use super::pixels::{from_rgb, swap, to_rgb};
use super::prepare::Choice;
use super::router::{Router, Rule};
use super::runner::Runner;
use super::{Options, PrepareError};
use crate::frame::{Colour, PixelFormat};
use crate::geom::{Rect, Span};
use crate::model::Order;
use crate::plan::Plan;
use crate::sync::{AtomicU64, Ordering};
use crate::tile::Grid;

/// A source row that was given to `colour`, and where an output row is made.
pub struct Row<'a> {
    pub bytes: &'a [u8],
    /// Its number.
    pub y: usize,
    /// Rows of the frame.
    pub height: usize,
    pub colour: &'a mut Colour,
    pub out: &'a mut [u8],
}

/// The plan, and the frame that it runs.
pub struct Int8 {
    runner: Runner,
    grid: Grid,
    bands: Option<Bands>,
    router: Option<Router>,
    /// Multiply-adds of the last frame over those of all windows with both branches.
    share: f64,
    sight: Sight,
    /// An output row, where the network's tensor says it otherwise.
    shown: Vec<u8>,
}

/// How the network sees the picture.
#[derive(Debug)]
struct Sight {
    format: PixelFormat,
    /// 1 (luma) or 3.
    channels: usize,
    /// Do the pixels have red and blue in another order than the network?
    swapped: bool,
    /// From bytes of the picture to those of the network's tensors, where they differ; and back.
    input: Option<Box<[u8; 256]>>,
    output: Option<Box<[u8; 256]>>,
}

/// What the network sees of a band of tiles with its halo, and what has been made of it.
#[derive(Debug)]
struct Bands {
    /// Ring of input rows.
    input: Vec<u8>,
    /// Output rows of one band.
    output: Vec<u8>,
    /// Bands made.
    made: usize,
}

impl Int8 {
    /// Allocates for the choice, and starts the threads.
    ///
    /// `structure` is the work of windows that get one branch, over that of those that get both.
    pub fn new(
        mut plan: Plan,
        rule: Option<Rule>,
        structure: f64,
        choice: Choice,
        options: &Options,
    ) -> Result<Self, PrepareError> {
        let shown = vec![0; plan.shown_bytes(options.size.width)];
        let (input, output) = (plan.input_table.take(), plan.output_table.take());
        let swapped = (plan.order == Order::Bgr) != options.has_blue_first();
        let sight = Sight { format: options.format, channels: plan.channels, swapped, input, output };
        let bands =
            choice.bands.map(|(input, output)| Bands { input: vec![0; input], output: vec![0; output], made: 0 });
        let (largest, scale) = (choice.grid.largest(), plan.scale);
        let (mut router, mut routes) = (None, None);
        if let (Some(rule), Some(routing)) = (rule, plan.routing.take()) {
            let (size, grid) = (options.size, &choice.grid);
            let pace = options.deadline.map(|deadline| {
                let windows = grid.frame.area() / routing.window.pow(2);
                Pace::new(deadline, windows.max(1), structure)
            });
            let made = Router::new(rule, size, grid, scale, &routing, choice.held, options.level);
            router = Some(made.with_pace(pace));
            let map = ClassMap::new(largest, routing.window);
            let whole = options.classes.as_ref().is_some_and(|given| given.whole);
            routes = Some(Routes { routing, map, whole, macs: AtomicU64::new(0) });
        }
        let runner = Runner::new(plan, choice.layout, routes, largest, options.level, options.threads)?;
        Ok(Self { runner, grid: choice.grid, bands, router, share: 1.0, sight, shown })
    }

    /// The threads that run the plan.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// See [`Int8::runner`].
    pub fn runner_mut(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// Multiply-adds of the last frame over those of all windows with both branches.
    pub fn macs_share(&self) -> f64 {
        self.share
    }

    /// What windows get.
    pub fn router(&self) -> Option<&Router> {
        self.router.as_ref()
    }

    /// See [`Int8::router`].
    pub fn router_mut(&mut self) -> Option<&mut Router> {
        self.router.as_mut()
    }

    /// The next frame begins.
    pub fn reset(&mut self) {
        if let (Some(router), Some(routes)) = (&mut self.router, self.runner.routes()) {
            router.reset();
            routes.macs.store(0, Ordering::Relaxed);
        }
        match &mut self.bands {
            None => self.runner.begin(self.grid.frame),
            Some(bands) => bands.made = 0,
        }
    }

    /// The side of a window, and how many around one that has changed are made anew; none where all always are.
    pub fn windows(&self) -> Option<(usize, usize)> {
        self.runner.routes().map(|routes| (routes.routing.window, routes.routing.reach))
    }

    /// Which windows the next frame makes anew, row by row of windows. Where there are none, no row need be pushed.
    pub fn mark(&mut self, fresh: &[bool]) {
        self.share = 0.0;
        if let (Some(router), Some(routes)) = (&mut self.router, self.runner.routes()) {
            router.mark(fresh, &routes.map);
        }
    }

    /// Takes a row, and gives the output rows that are finished, with their numbers; none of rows of windows that all stand
    /// still.
    pub fn push<E>(&mut self, row: Row<'_>, emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        // The frame is padded to the window grid by its last row, as each row is by its last pixel.
        let copies = if row.y + 1 == row.height { self.grid.frame.height - row.y } else { 1 };
        let last = row.y + 1 == row.height;
        match (&self.bands, &self.router) {
            (None, None) => self.strip(row, copies, emit)?,
            (None, Some(_)) => self.routed_strip(row, copies, emit)?,
            (Some(_), _) => self.tiles(row, copies, emit)?,
        }
        if let (true, Some(routes)) = (last, self.runner.routes()) {
            let all = self.runner.plan().macs(self.grid.frame) as f64 * self.grid.overhead();
            self.share = routes.macs.load(Ordering::Relaxed) as f64 / all;
        }
        Ok(())
    }

    fn strip<E>(
        &mut self,
        row: Row<'_>,
        copies: usize,
        emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { runner, sight, shown, .. } = self;
        let Row { bytes: row, colour, out, height, .. } = row;
        let rows = runner.plan().scale * height;
        for _ in 0..copies {
            runner.push(|seen| sight.fill(colour, row, seen));
            runner.advance(|y, made| match y < rows {
                true => sight.finish(colour, y, made, shown, out, emit),
                false => Ok(()),
            })?;
        }
        Ok(())
    }

    /// [`Int8::strip`], with rows held back until the classes of the windows below them are known.
    fn routed_strip<E>(
        &mut self,
        row: Row<'_>,
        copies: usize,
        emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { runner, router: Some(router), sight, shown, .. } = self else { return Ok(()) };
        let Row { bytes: row, colour, out, height, .. } = row;
        let rows = runner.plan().scale * height;
        for _ in 0..copies {
            if let Some(routes) = runner.routes() {
                router.push(|seen| sight.fill(colour, row, seen), &routes.map);
            }
            while let Some(next) = router.next() {
                runner.push(|seen| seen.copy_from_slice(next));
                runner.advance(|y, made| match y < rows && router.is_made(y) {
                    true => sight.finish(colour, y, router.show_kept(y, made), shown, out, emit),
                    false => Ok(()),
                })?;
            }
        }
        Ok(())
    }

    /// Keeps what is seen of the row; makes each band of tiles whose rows are all there.
    fn tiles<E>(
        &mut self,
        row: Row<'_>,
        copies: usize,
        emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (grid, width) = (self.grid, self.grid.frame.width * self.sight.channels);
        let window = self.runner.routes().map_or(self.runner.plan().grid, |routes| routes.routing.window);
        for copy in 0..copies {
            let y = row.y + copy;
            let Some(bands) = &mut self.bands else { return Ok(()) };
            let rows = bands.input.len() / width;
            self.sight.fill(row.colour, row.bytes, &mut bands.input[y % rows * width..][..width]);
            let complete = (y + 1).is_multiple_of(window) || y + 1 == grid.frame.height;
            if let Some(router) = self.router.as_mut().filter(|_| complete) {
                let input = &bands.input;
                router.choose(y / window, |y| &input[y % rows * width..][..width]);
            }
            let mut made = bands.made;
            while let Some(band) = grid.bands().nth(made).filter(|b| grid.outer_rows(*b).end == y + 1) {
                self.band(band);
                self.emit_band(band, row.colour, row.out, row.height, emit)?;
                made += 1;
            }
            if let Some(bands) = &mut self.bands {
                bands.made = made;
            }
        }
        Ok(())
    }

    /// Runs the tiles of a band.
    fn band(&mut self, band: Span) {
        let Self { runner, grid, router, bands: Some(Bands { input, output, .. }), .. } = self else { return };
        let (scale, channels) = (runner.plan().scale, runner.plan().channels);
        let width = grid.frame.width * channels;
        let rows = input.len() / width;
        for columns in grid.columns() {
            let outer = grid.outer(columns, band);
            if router.as_ref().is_some_and(|router| !router.is_made_in(&Rect { x: columns, y: band })) {
                continue;
            }
            runner.begin(outer.size());
            if let (Some(router), Some(routes)) = (&*router, runner.routes().filter(|routes| !routes.map.is_all())) {
                router.tell(&outer, &routes.map);
            }
            let (first, last) = (scale * (band.start - outer.y.start), scale * (band.end - outer.y.start));
            let left = scale * channels * (columns.start - outer.x.start);
            let bytes = scale * channels * columns.len();
            let mut keep = |y: usize, made: &[u8]| -> Result<(), Infallible> {
                if (first..last).contains(&y) {
                    let at = (y - first) * scale * width + scale * channels * columns.start;
                    output[at..at + bytes].copy_from_slice(&made[left..left + bytes]);
                }
                Ok(())
            };
            for y in outer.y.start..outer.y.end {
                let row = &input[y % rows * width..][outer.x.start * channels..outer.x.end * channels];
                runner.push(|seen| seen.copy_from_slice(row));
                let Ok(()) = runner.advance(&mut keep);
            }
        }
    }

    fn emit_band<E>(
        &mut self,
        band: Span,
        colour: &mut Colour,
        out: &mut [u8],
        height: usize,
        emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { runner, grid, bands: Some(bands), router, sight, shown, .. } = self else { return Ok(()) };
        let scale = runner.plan().scale;
        let width = grid.frame.width * sight.channels;
        let (bytes, rows) = (scale * width, bands.input.len() / width);
        for y in scale * band.start..scale * band.end.min(height) {
            let made = &bands.output[(y - scale * band.start) * bytes..][..bytes];
            let made = match router {
                Some(router) if !router.is_made(y) => continue,
                Some(router) => router.show(y, made, |y| &bands.input[y % rows * width..][..width]),
                None => made,
            };
            sight.finish(colour, y, made, shown, out, emit)?;
        }
        Ok(())
    }
}

impl Sight {
    /// What the network sees of the source row that `colour` has got last, continued by its last pixel to the width of the
    /// padded frame.
    fn fill(&self, colour: &Colour, row: &[u8], seen: &mut [u8]) {
        let bytes = colour.width() * self.channels;
        let (own, rest) = seen.split_at_mut(bytes);
        match self.channels {
            1 => colour.luma(row, own),
            _ => {
                to_rgb(self.format, row, own);
                self.reorder(own);
            }
        }
        let last = &own[bytes - self.channels..];
        rest.chunks_exact_mut(self.channels).for_each(|pixel| pixel.copy_from_slice(last));
        if let Some(table) = &self.input {
            seen.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
        }
    }

    /// The pixels' order to the network's, and back.
    fn reorder(&self, pixels: &mut [u8]) {
        if self.swapped {
            swap(3, pixels);
        }
    }

    /// An output row from what the network made, to `emit`.
    fn finish<E>(
        &self,
        colour: &mut Colour,
        y: usize,
        made: &[u8],
        shown: &mut [u8],
        out: &mut [u8],
        emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.output {
            None if self.channels == 1 => {
                colour.row(y, made, out);
                return emit(y, out);
            }
            None => shown.copy_from_slice(&made[..shown.len()]),
            Some(table) => shown.iter_mut().zip(made).for_each(|(shown, v)| *shown = table[usize::from(*v)]),
        }
        match self.channels {
            1 => colour.row(y, shown, out),
            _ => {
                self.reorder(shown);
                from_rgb(self.format, shown, y, colour, out);
            }
        }
        emit(y, out)
    }
}
