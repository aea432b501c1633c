//! Frames through a network in floats: bands of tiles, which the threads share.
//!
//! All tiles are of one size and lie inside the frame, each with the halo that the network needs, so that what is kept of
//! them does not depend on how the frame is cut. tract allocates while it runs: PREPARE chooses the tile so that what is
//! alive at once fits the budget.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::int8::Row;
use super::pixels::{from_rgb, swap, to_rgb};
use super::prepare::watch_bytes;
use super::{Options, PrepareError, PushError, Report};
use crate::frame::{Colour, Enlarger, PixelFormat};
use crate::geom::{Size, Span};
use crate::model::{Executor, FloatNetwork, Model, ModelError};
use crate::tile::Tile;

/// Sides of tiles that are tried, largest first; without the halo.
const SIDES: [usize; 14] = [2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32, 16];
/// A tile of this side shows what is alive for a pixel.
const SAMPLE: usize = 96;
/// tract packs and copies beside the tensors that are alive: up to a fifth in what was measured.
const SPARE: f64 = 1.3;
/// Options, tables and the like: small, and the same for every frame.
const FIXED: usize = 64 << 10;

/// How the frame is cut along one axis.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// First pixel of the tile.
    start: usize,
    /// Pixels that are kept of what it makes.
    kept: Span,
}

/// Tiles of `tile` pixels over `length`, `halo` of which belong to neighbours, beginning at multiples of `step`.
fn cuts(length: usize, tile: usize, halo: usize, step: usize) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = vec![];
    loop {
        let from = cuts.last().map_or(0, |c| c.kept.end);
        let start = from.saturating_sub(halo) / step * step;
        let start = start.min(length - tile);
        let end = if start + tile == length { length } else { start + tile - halo };
        cuts.push(Cut { start, kept: Span::new(from, end) });
        if end == length {
            return cuts;
        }
    }
}

/// A way to run frames.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The frame, padded to the network's grid.
    pub frame: Size,
    /// A tile with its halo, without the border that the network loses.
    pub tile: Size,
    /// With that border.
    outer: Size,
    /// Pixels that are computed, over those of the frame.
    pub overhead: f64,
    /// Bytes in all.
    pub bytes: usize,
}

impl Choice {
    /// Source rows that colour needs: those of a band and its halo, and what the filter reads beside them.
    pub fn kept_rows(&self, network: &FloatNetwork, options: &Options) -> usize {
        (self.outer.height.div_ceil(network.enlarged) + 2 * network.enlarged + 4).min(options.size.height)
    }

    /// Everything that is allocated.
    fn total(&self, network: &FloatNetwork, options: &Options) -> usize {
        let Size { width, .. } = options.size;
        let colour = self.colour_bytes(network, options);
        let enlarger = match network.enlarged {
            1 => 0,
            n => Enlarger::bytes(network.channels, options.size, n) + width * network.channels,
        };
        let watch = watch_bytes(options, options.size.width.max(options.size.height));
        self.bytes + colour + enlarger + watch + network.factor() * width * options.format.channels() + FIXED
    }

    /// What colour and chroma allocate.
    fn colour_bytes(&self, network: &FloatNetwork, options: &Options) -> usize {
        let kept = self.kept_rows(network, options);
        Colour::bytes(options.format, options.size.width, network.factor(), kept)
            + options.chroma_bytes(network.factor())
    }
}

/// The choice of the least work that fits the budget, and the least that any choice takes.
pub fn choose(network: &FloatNetwork, options: &Options) -> Result<(Choice, usize), PrepareError> {
    let side = match options.tile {
        Tile::Auto => None,
        Tile::Fixed(side) => Some(side),
    };
    let all = choices(network, options.size.scaled(network.enlarged), options.threads, side)?;
    let total = |choice: &Choice| choice.total(network, options);
    let needed = all.iter().map(total).min().unwrap_or(usize::MAX);
    let fitting = all.into_iter().find(|choice| total(choice) <= options.budget.0);
    fitting.map(|choice| (choice, needed)).ok_or(PrepareError::Budget { needed, given: options.budget.0 })
}

/// What `plan` prints of a choice.
pub fn report(
    network: &FloatNetwork,
    options: &Options,
    model: &Model,
    choice: &Choice,
    least: Option<usize>,
) -> Report {
    let whole = choice.tile == choice.frame;
    let macs = network.macs_per_pixel * choice.frame.area() as f64;
    Report {
        tile: choice.tile,
        strip: choice.tile.height,
        halo: if whole { 0 } else { network.halo },
        frame: choice.frame,
        output: options.size.scaled(network.factor()),
        threads: options.threads,
        level: options.level.name(),
        branches: options.branches.name(),
        budget_bytes: options.budget.0,
        min_budget_bytes: least,
        total_bytes: choice.total(network, options),
        arena_bytes: choice.bytes - network.held_bytes(),
        weight_bytes: network.held_bytes(),
        colour_bytes: choice.colour_bytes(network, options),
        model_bytes: model.bytes(),
        macs_per_frame: (macs * choice.overhead) as u64,
        least_macs_per_frame: (macs * choice.overhead) as u64,
        mac_overhead: choice.overhead,
        steps: vec![],
        buffers: vec![],
    }
}

/// Choices for a frame, the least work first; `side` is the tile that was asked for.
fn choices(network: &FloatNetwork, size: Size, threads: usize, side: Option<usize>) -> Result<Vec<Choice>, ModelError> {
    let FloatNetwork { halo, step, margin, scale, channels, .. } = *network;
    let mut frame = size.padded(step);
    let sample = network.fixed.unwrap_or_else(|| network.padded(Size::new(SAMPLE, SAMPLE)));
    let live = SPARE * network.live_bytes(sample)? as f64 / sample.area() as f64;
    let tiles: Vec<Size> = if let Some(only) = network.fixed {
        let tile = Size::new(only.width - 2 * margin, only.height - 2 * margin);
        frame = Size::new(frame.width.max(tile.width), frame.height.max(tile.height));
        vec![tile]
    } else if network.whole.is_some() {
        vec![frame]
    } else {
        // What is kept of a tile is at least a step of the grid.
        let outer = |side: usize| (side + 2 * halo).next_multiple_of(step).max(2 * halo + step);
        let tile = |side: usize| Size::new(outer(side).min(frame.width), outer(side).min(frame.height));
        match side {
            Some(side) => vec![tile(side)],
            None => SIDES.into_iter().map(tile).chain([frame]).collect(),
        }
    };
    let choice = |tile: Size| {
        let across = cuts(frame.width, tile.width, halo, step).len();
        let down = cuts(frame.height, tile.height, halo, step).len();
        let outer = Size::new(tile.width + 2 * margin, tile.height + 2 * margin);
        let busy = threads.min(across);
        let band = channels * frame.width * (outer.height + scale * scale * tile.height);
        let each = outer.area() * (live as usize + channels * (1 + scale * scale));
        Choice {
            frame,
            tile,
            outer,
            overhead: (across * down * outer.area()) as f64 / frame.area() as f64,
            bytes: each * busy + band + network.held_bytes(),
        }
    };
    let mut all: Vec<Choice> = tiles.into_iter().map(choice).collect();
    all.sort_by(|a, b| a.overhead.total_cmp(&b.overhead).then(a.bytes.cmp(&b.bytes)));
    Ok(all)
}

/// A frame's rows, and the tiles that are made of them.
#[derive(Debug)]
pub struct FloatRunner {
    network: FloatNetwork,
    executor: Executor,
    choice: Choice,
    /// Size of the frame as the network is given it.
    size: Size,
    enlarger: Option<Enlarger>,
    /// A row of the source, where it is enlarged.
    source: Vec<u8>,
    columns: Vec<Cut>,
    bands: Vec<Cut>,
    /// Ring of rows, interleaved in the network's channels.
    rows: Vec<u8>,
    /// Kept rows of the output of one band.
    output: Vec<u8>,
    /// Bytes of a tile, in and out, for each thread.
    tiles: Vec<Mutex<(Vec<u8>, Vec<u8>)>>,
    /// Does blue stand before red in the pixels? Rows here have red first.
    swapped: bool,
    pushed: usize,
    /// Bands made.
    made: usize,
}

impl FloatRunner {
    /// PREPARE: everything but what tract allocates while it runs.
    pub fn new(network: &FloatNetwork, choice: Choice, options: &Options) -> Result<Self, ModelError> {
        let FloatNetwork { halo, step, channels, scale, .. } = *network;
        let Choice { frame, tile, outer, .. } = choice;
        let (size, threads) = (options.size.scaled(network.enlarged), options.threads);
        let enlarger =
            (network.enlarged > 1).then(|| Enlarger::new(channels, options.size, network.enlarged, options.level));
        let source = vec![0; if enlarger.is_some() { options.size.width * channels } else { 0 }];
        let executor = network.executor(outer)?;
        let columns = cuts(frame.width, tile.width, halo, step);
        let bytes = (outer.area() * channels, executor.output().area() * channels);
        let tiles = (0..threads.min(columns.len())).map(|_| Mutex::new((vec![0; bytes.0], vec![0; bytes.1])));
        Ok(Self {
            network: network.clone(),
            executor,
            size,
            enlarger,
            source,
            bands: cuts(frame.height, tile.height, halo, step),
            rows: vec![0; outer.height * size.width * channels],
            output: vec![0; scale * scale * tile.height * frame.width * channels],
            tiles: tiles.collect(),
            columns,
            choice,
            swapped: options.has_blue_first(),
            pushed: 0,
            made: 0,
        })
    }

    /// The next frame begins.
    pub fn reset(&mut self) {
        (self.pushed, self.made) = (0, 0);
        self.enlarger.iter_mut().for_each(Enlarger::reset);
    }

    /// Takes a row of pixels of `format`, and gives the output rows that are finished.
    pub fn push<E>(
        &mut self,
        mut row: Row<'_>,
        format: PixelFormat,
        emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), PushError<E>> {
        let channels = self.network.channels;
        let bytes = self.size.width * channels;
        let kept = self.rows.len() / bytes;
        let swapped = self.swapped;
        let see = |row: &Row<'_>, seen: &mut [u8]| match channels {
            1 => row.colour.luma(row.bytes, seen),
            _ => {
                to_rgb(format, row.bytes, seen);
                if swapped {
                    swap(channels, seen);
                }
            }
        };
        let Some(mut enlarger) = self.enlarger.take() else {
            see(&row, &mut self.rows[self.pushed % kept * bytes..][..bytes]);
            self.pushed += 1;
            return self.give(&mut row, format, emit);
        };
        see(&row, &mut self.source);
        enlarger.push(&self.source);
        let mut done = Ok(());
        while done.is_ok() && enlarger.next(&mut self.rows[self.pushed % kept * bytes..][..bytes]) {
            self.pushed += 1;
            done = self.give(&mut row, format, emit);
        }
        self.enlarger = Some(enlarger);
        done
    }

    /// Makes the bands whose rows are there, and gives their rows.
    fn give<E>(
        &mut self,
        row: &mut Row<'_>,
        format: PixelFormat,
        emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), PushError<E>> {
        while let Some(rows) = self.band().map_err(PushError::Network)? {
            for y in rows.start..rows.end {
                match self.network.channels {
                    1 => row.colour.row(y, self.row(y), row.out),
                    _ => {
                        from_rgb(format, self.row(y), y, row.colour, row.out);
                        if self.swapped {
                            swap(format.channels(), row.out);
                        }
                    }
                }
                emit(y, row.out).map_err(PushError::Receiver)?;
            }
        }
        Ok(())
    }

    /// Makes the next band if its rows are there: the output rows that it keeps, for [`FloatRunner::row`].
    ///
    /// The error is tract's.
    fn band(&mut self) -> Result<Option<Span>, String> {
        let Some(band) = self.bands.get(self.made).copied() else { return Ok(None) };
        let FloatNetwork { margin, scale, .. } = self.network;
        let last = (band.start + self.choice.tile.height + margin).min(self.size.height);
        if self.pushed < last {
            return Ok(None);
        }
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let output = Mutex::new(std::mem::take(&mut self.output));
        let work = |tile: &Mutex<(Vec<u8>, Vec<u8>)>| {
            let Ok(mut tile) = tile.lock() else { return };
            let (input, made) = &mut *tile;
            while let Some(column) = self.columns.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.gather(*column, band, input);
                if let Err(reason) = self.executor.run(input, made) {
                    if let Ok(mut failed) = failed.lock() {
                        *failed = Some(reason);
                    }
                    return;
                }
                if let Ok(mut output) = output.lock() {
                    self.keep(*column, band, made, &mut output);
                }
            }
        };
        match &self.tiles[..] {
            [only] => work(only),
            several => std::thread::scope(|scope| several.iter().for_each(|tile| drop(scope.spawn(|| work(tile))))),
        }
        self.output = output.into_inner().unwrap_or_default();
        if let Some(reason) = failed.into_inner().unwrap_or_else(|_| Some("a thread failed".into())) {
            return Err(reason);
        }
        self.made += 1;
        let end = (scale * band.kept.end).min(scale * self.size.height);
        Ok(Some(Span::new((scale * band.kept.start).min(end), end)))
    }

    /// An output row of the band that was made last, in the network's channels.
    fn row(&self, y: usize) -> &[u8] {
        let Some(band) = self.made.checked_sub(1).map(|made| self.bands[made]) else { return &[] };
        let bytes = self.network.scale * self.choice.frame.width * self.network.channels;
        let row = &self.output[(y - self.network.scale * band.kept.start) * bytes..][..bytes];
        &row[..self.network.scale * self.size.width * self.network.channels]
    }

    /// The tile's pixels: those of the frame, continued by its last row and column to the grid, then mirrored.
    fn gather(&self, column: Cut, band: Cut, input: &mut [u8]) {
        let FloatNetwork { margin, channels, .. } = self.network;
        let Choice { frame, tile, .. } = self.choice;
        let bytes = self.size.width * channels;
        let kept = self.rows.len() / bytes;
        let width = tile.width + 2 * margin;
        for (y, out) in input.chunks_exact_mut(width * channels).enumerate() {
            let y = source(band.start + y, margin, frame.height, self.size.height);
            let row = &self.rows[y % kept * bytes..][..bytes];
            if margin == 0 && column.start + tile.width <= self.size.width {
                out.copy_from_slice(&row[column.start * channels..][..width * channels]);
                continue;
            }
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                let x = source(column.start + x, margin, frame.width, self.size.width);
                pixel.copy_from_slice(&row[x * channels..][..channels]);
            }
        }
    }

    /// Copies what is kept of a tile.
    fn keep(&self, column: Cut, band: Cut, made: &[u8], output: &mut [u8]) {
        let FloatNetwork { scale, channels, .. } = self.network;
        let from = scale * self.choice.tile.width * channels;
        let to = scale * self.choice.frame.width * channels;
        let bytes = scale * column.kept.len() * channels;
        let left = scale * (column.kept.start - column.start) * channels;
        for y in 0..scale * band.kept.len() {
            let row = &made[(scale * (band.kept.start - band.start) + y) * from + left..][..bytes];
            output[y * to + scale * column.kept.start * channels..][..bytes].copy_from_slice(row);
        }
    }
}

/// Where pixel `at - margin` of the padded frame comes from: mirrored at its borders, then at most the last real pixel.
fn source(at: usize, margin: usize, padded: usize, real: usize) -> usize {
    let inside = match at.checked_sub(margin) {
        None => margin - at,
        Some(v) if v < padded => v,
        Some(v) => (2 * (padded - 1)).saturating_sub(v),
    };
    inside.min(real - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_keep_every_pixel_once_and_have_their_halo() {
        for (length, tile, halo, step) in
            [(100, 100, 18, 1), (100, 40, 18, 1), (128, 64, 10, 8), (37, 37, 400, 1), (64, 24, 8, 8)]
        {
            let cuts = cuts(length, tile, halo, step);
            let mut at = 0;
            for cut in &cuts {
                assert_eq!((cut.kept.start, cut.start % step), (at, 0));
                assert!(cut.kept.end > at && cut.start + tile <= length);
                assert!(cut.start == 0 || cut.kept.start - cut.start >= halo, "{cut:?}");
                assert!(cut.start + tile == length || cut.start + tile - cut.kept.end >= halo, "{cut:?}");
                at = cut.kept.end;
            }
            assert_eq!(at, length);
        }
    }

    #[test]
    fn borders_are_mirrored() {
        let seen: Vec<usize> = (0..9).map(|at| source(at, 2, 5, 4)).collect();
        assert_eq!(seen, [2, 1, 0, 1, 2, 3, 3, 3, 2]);
    }
}
