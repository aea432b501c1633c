//! Frames through the int8 plan: strips of full width where the budget allows, else tiles.

use std::convert::Infallible;

use super::prepare::Choice;
use super::runner::Runner;
use super::{Options, PrepareError};
use crate::frame::Colour;
use crate::geom::Span;
use crate::plan::Plan;
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
    tables: Tables,
    /// Luma of an output row, where the network's tensor says it otherwise.
    shown: Vec<u8>,
}

/// Between bytes of the picture and of the network's tensors, where they differ.
#[derive(Debug)]
struct Tables {
    input: Option<Box<[u8; 256]>>,
    output: Option<Box<[u8; 256]>>,
}

/// Luma of a band of tiles with its halo, and what has been made of it.
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
    pub fn new(mut plan: Plan, choice: Choice, options: &Options) -> Result<Self, PrepareError> {
        let tables = Tables { input: plan.input_table.take(), output: plan.output_table.take() };
        let shown = vec![0; if tables.output.is_some() { plan.scale * options.size.width } else { 0 }];
        let bands =
            choice.bands.map(|(input, output)| Bands { input: vec![0; input], output: vec![0; output], made: 0 });
        let runner = Runner::new(plan, choice.layout, choice.grid.largest(), options.level, options.threads)?;
        Ok(Self { runner, grid: choice.grid, bands, tables, shown })
    }

    /// The threads that run the plan.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// See [`Int8::runner`].
    pub fn runner_mut(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// The next frame begins.
    pub fn reset(&mut self) {
        match &mut self.bands {
            None => self.runner.begin(self.grid.frame),
            Some(bands) => bands.made = 0,
        }
    }

    /// Takes a row, and gives the output rows that are finished.
    pub fn push<E>(&mut self, row: Row<'_>, emit: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        // The frame is padded to the window grid by its last row, as each row is by its last pixel.
        let copies = if row.y + 1 == row.height { self.grid.frame.height - row.y } else { 1 };
        if self.bands.is_none() { self.strip(row, copies, emit) } else { self.tiles(row, copies, emit) }
    }

    fn strip<E>(
        &mut self,
        row: Row<'_>,
        copies: usize,
        emit: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { runner, tables, shown, .. } = self;
        let Row { bytes: row, colour, out, height, .. } = row;
        let rows = runner.plan().scale * height;
        for _ in 0..copies {
            runner.push(|luma| fill_luma(colour, row, tables, luma));
            runner.advance(|y, luma| match y < rows {
                true => finish(colour, tables, y, luma, shown, out, emit),
                false => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Keeps the luma of the row; makes each band of tiles whose rows are all there.
    fn tiles<E>(
        &mut self,
        row: Row<'_>,
        copies: usize,
        emit: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (grid, width) = (self.grid, self.grid.frame.width);
        for copy in 0..copies {
            let y = row.y + copy;
            let Some(bands) = &mut self.bands else { return Ok(()) };
            let rows = bands.input.len() / width;
            fill_luma(row.colour, row.bytes, &self.tables, &mut bands.input[y % rows * width..][..width]);
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
        let Self { runner, grid, bands: Some(Bands { input, output, .. }), .. } = self else { return };
        let (scale, width) = (runner.plan().scale, grid.frame.width);
        let rows = input.len() / width;
        for columns in grid.columns() {
            let outer = grid.outer(columns, band);
            runner.begin(outer.size());
            let (first, last) = (scale * (band.start - outer.y.start), scale * (band.end - outer.y.start));
            let left = scale * (columns.start - outer.x.start);
            let bytes = scale * columns.len();
            let mut keep = |y: usize, luma: &[u8]| -> Result<(), Infallible> {
                if (first..last).contains(&y) {
                    let at = (y - first) * scale * width + scale * columns.start;
                    output[at..at + bytes].copy_from_slice(&luma[left..left + bytes]);
                }
                Ok(())
            };
            for y in outer.y.start..outer.y.end {
                let row = &input[y % rows * width..][outer.x.start..outer.x.end];
                runner.push(|luma| luma.copy_from_slice(row));
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
        emit: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { runner, grid, bands: Some(bands), tables, shown } = self else { return Ok(()) };
        let scale = runner.plan().scale;
        for y in scale * band.start..scale * band.end.min(height) {
            let luma = &bands.output[(y - scale * band.start) * scale * grid.frame.width..][..scale * grid.frame.width];
            finish(colour, tables, y, luma, shown, out, emit)?;
        }
        Ok(())
    }
}

/// Luma of the source row that `colour` has got last, continued by its last pixel to the width of the padded frame.
fn fill_luma(colour: &Colour, row: &[u8], tables: &Tables, luma: &mut [u8]) {
    let pixels = colour.width();
    colour.luma(row, &mut luma[..pixels]);
    let last = luma[pixels - 1];
    luma[pixels..].fill(last);
    if let Some(table) = &tables.input {
        luma.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
    }
}

/// An output row from its luma, to `emit`.
fn finish<E>(
    colour: &mut Colour,
    tables: &Tables,
    y: usize,
    luma: &[u8],
    shown: &mut [u8],
    out: &mut [u8],
    emit: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    match &tables.output {
        None => colour.row(y, luma, out),
        Some(table) => {
            shown.iter_mut().zip(luma).for_each(|(shown, v)| *shown = table[usize::from(*v)]);
            colour.row(y, shown, out);
        }
    }
    emit(out)
}
