//! Runs units of Steps: borrows rows, calls kernels.

use std::ops::Range;

use super::arrange::{arrange_row, shuffle_row};
use super::classes::Routes;
use super::layout::Layout;
use crate::geom::Size;
use crate::kernels::{self, Add, Epilogue, Level, Output, Residual};
use crate::memory::{Arena, Borrower, MOST_READS, ReadRows, RingRows, WriteRows};
use crate::model::{Border, Ratio};
use crate::plan::{Attention, Buffer, Conv, Depthwise, Fused, Kind, MOST_ROWS, Plan, Silent, Step, StepRoute};

type Rows<'a> = heapless::Vec<&'a [u8], MOST_ROWS>;

/// What a thread runs units of Steps with.
pub struct StepRunner<'a> {
    pub plan: &'a Plan,
    pub layout: &'a Layout,
    /// What windows get; none when all get everything.
    pub routes: Option<&'a Routes>,
    pub arena: &'a Arena,
    pub level: Level,
    /// Number of the thread.
    pub thread: usize,
    /// Size of the sub-frame.
    pub width: usize,
    pub height: usize,
}

/// A thread's scratch memory, made in PREPARE.
#[derive(Debug, Default)]
pub struct Scratch {
    query: Vec<u8>,
    tokens: Vec<u8>,
    attended: Vec<u8>,
    kernel: kernels::Scratch,
    /// Columns of a unit, in input pixels.
    columns: [Vec<Range<usize>>; 2],
    /// Multiply-adds done, where they are counted.
    pub macs: u64,
}

impl Scratch {
    /// For all Steps of `plan`, whose units have at most so many ranges of columns.
    pub fn new(plan: &Plan, level: Level, ranges: usize) -> Self {
        let mut s = Self { columns: [Vec::with_capacity(ranges), Vec::with_capacity(ranges)], ..Self::default() };
        for step in &plan.steps {
            if let Kind::Attention(Attention { kernel, .. }) = &step.kind {
                grow(&mut s.query, kernel.tokens * kernel.keys);
                grow(&mut s.tokens, kernel.tokens * (kernel.keys + kernel.values));
                grow(&mut s.attended, kernel.tokens * kernel.values);
                level.reserve(kernel, &mut s.kernel);
            }
        }
        s
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|columns| columns.capacity() * size_of::<Range<usize>>()).sum::<usize>();
        self.query.len() + self.tokens.len() + self.attended.len() + self.kernel.bytes() + columns
    }
}

fn grow<T: Clone + Default>(v: &mut Vec<T>, n: usize) {
    if v.len() < n {
        v.resize(n, T::default());
    }
}

impl<'a> StepRunner<'a> {
    /// Runs units of Step number `index`: those whose inputs the thread's pass finds made.
    pub fn run(&self, index: usize, units: Range<usize>, borrower: &mut Borrower, scratch: &mut Scratch) {
        let step = &self.plan.steps[index];
        let mut read: heapless::Vec<RingRows, MOST_READS> = heapless::Vec::new();
        for from in &step.reads {
            let inside = |row: isize| row.clamp(0, self.rows_of(from.buffer) as isize - 1) as usize;
            let (first, last) = (from.span(units.start).0, from.span(units.end - 1).1);
            // PREPARE has checked that there are no more reads than this takes.
            let _ = read.push(self.layout.ring_rows(self.thread, from.buffer, inside(first)..inside(last) + 1));
        }
        let _ = read.push(self.layout.padding());
        let rows = self.rows_of(step.write);
        let written = step.rows_done(units.start, rows)..step.rows_done(units.end, rows);
        let write = self.layout.ring_rows(self.thread, step.write, written.clone());
        let mut borrow = self.arena.borrow(borrower, &read, &write);
        let (reads, writes) = borrow.split();
        match self.routes {
            None => self.units(step, units, reads, writes, scratch),
            Some(routes) => self.routed(step, routes, &routes.routing.steps[index], units, reads, writes, scratch),
        }
        let buffer = self.buffer(step.write);
        if buffer.border != Border::Zero {
            written.for_each(|row| buffer.continue_row(writes.row(row), buffer.columns.of(self.width)));
        }
    }

    /// Makes units, two at once where that is faster.
    fn units(
        &self,
        step: &Step,
        mut units: Range<usize>,
        reads: &ReadRows,
        writes: &mut WriteRows,
        scratch: &mut Scratch,
    ) {
        if let Kind::Conv(conv) = &step.kind
            && conv.joins_rows()
        {
            while units.len() >= 2 {
                self.conv_two(step, conv, units.start, 0..self.width, reads, writes);
                units.start += 2;
            }
        }
        units.for_each(|unit| self.unit(step, unit, 0..self.width, reads, writes, scratch));
    }

    /// Makes `columns` (of the input) of a unit.
    fn unit(
        &self,
        step: &Step,
        unit: usize,
        columns: Range<usize>,
        reads: &ReadRows,
        writes: &mut WriteRows,
        scratch: &mut Scratch,
    ) {
        match &step.kind {
            Kind::Conv(conv) => self.conv(step, conv, unit, columns, reads, writes),
            Kind::Depthwise(depthwise) => self.depthwise(step, depthwise, unit, columns, reads, writes),
            Kind::Attention(a) => self.attention(step, a, unit, columns, reads, writes, scratch),
            _ => self.elementwise(step, unit, columns, reads, writes),
        }
    }

    /// Makes of each unit the columns that are needed, and silences it where the map says so.
    #[expect(clippy::too_many_arguments)]
    fn routed(
        &self,
        step: &Step,
        routes: &Routes,
        route: &StepRoute,
        units: Range<usize>,
        reads: &ReadRows,
        writes: &mut WriteRows,
        scratch: &mut Scratch,
    ) {
        let size = Size::new(self.width, self.height);
        let Ratio { num, den } = self.buffer(step.write).rows;
        let count = self.rows_of(step.write);
        let rows_of = |unit: usize| {
            let (first, last) = (step.rows_done(unit, count), step.rows_done(unit + 1, count));
            first * den / num..(last * den).div_ceil(num)
        };
        let joined = if let Kind::Conv(conv) = &step.kind { Some(conv).filter(|conv| conv.joins_rows()) } else { None };
        let [mut columns, mut below] = std::mem::take(&mut scratch.columns);
        let mut made = units.start;
        for unit in units.clone() {
            if made == unit {
                routes.columns(route, rows_of(unit), size, &mut columns);
            } else {
                std::mem::swap(&mut columns, &mut below);
            }
            let two = joined.filter(|_| made == unit && unit + 1 < units.end).filter(|_| {
                routes.columns(route, rows_of(unit + 1), size, &mut below);
                below == columns
            });
            for columns in &columns {
                match two {
                    Some(conv) => self.conv_two(step, conv, unit, columns.clone(), reads, writes),
                    None if made == unit => self.unit(step, unit, columns.clone(), reads, writes, scratch),
                    None => {}
                }
                let covered = step.mac_columns.of(self.covered(step, columns.clone()).len());
                let units = step.rows_done(unit + 1, count) - step.rows_done(unit, count);
                scratch.macs += (step.macs * covered * units / step.unit_rows) as u64;
            }
            made = made.max(unit + 1 + usize::from(two.is_some()));
            if let (Some(silent), Kind::Conv(conv)) = (route.silent, &step.kind) {
                let rows = rows_of(unit);
                let window = rows.start / routes.routing.window;
                routes.wanted(route, rows, size, &mut columns);
                self.silence(step, conv, routes, (silent, &columns), unit, window, reads, writes);
            }
        }
        scratch.columns = [columns, below];
    }

    /// The columns that computing `columns` (all of the input) takes.
    fn covered(&self, step: &Step, columns: Range<usize>) -> Range<usize> {
        let Kind::Attention(a) = &step.kind else { return columns };
        let Ratio { num, den } = self.buffer(step.write).columns;
        let windows = self.windows(step, a, columns);
        let pixel = |window: usize| (window * a.window).saturating_sub(a.shift) * den / num;
        pixel(windows.start)..pixel(windows.end).min(self.width)
    }

    /// Zeros where the unit is silent in a row of windows and its tensor is needed; where it is fused into a sum, the other addend alone.
    #[expect(clippy::too_many_arguments)]
    fn silence(
        &self,
        step: &Step,
        conv: &Conv,
        routes: &Routes,
        (silent, wanted): (Silent, &[Range<usize>]),
        unit: usize,
        window: usize,
        reads: &ReadRows,
        writes: &mut WriteRows,
    ) {
        let buffer = self.buffer(step.write);
        let mut each = |columns: Range<usize>| {
            let bytes = buffer.pixel(buffer.columns.of(columns.start))..buffer.pixel(buffer.columns.of(columns.end));
            for y in 0..step.unit_rows {
                let out = &mut writes.row(unit * step.unit_rows + y)[bytes.clone()];
                let Some(fused) = &conv.residual else {
                    out.fill(buffer.zero);
                    continue;
                };
                let last = step.reads.len() - 1;
                let (read, skip) = (&step.reads[last], self.buffer(step.reads[last].buffer));
                let first = skip.pixel(skip.columns.of(columns.start));
                let row = &reads.row(last, read.base(unit) as usize + y)[first..][..out.len()];
                let (zeros, ratios) = ([fused.skip_zero; 2], [fused.skip_ratio, 0.0]);
                self.level.add_row(&Add { zeros, ratios, clamp: fused.clamp }, row, row, out);
            }
        };
        routes.silent(silent, window, self.width, |columns| {
            let parts = wanted.iter().map(|part| part.start.max(columns.start)..part.end.min(columns.end));
            parts.filter(|part| !part.is_empty()).for_each(&mut each);
        });
    }

    fn buffer(&self, id: usize) -> &'a Buffer {
        &self.plan.buffers[id]
    }

    fn rows_of(&self, id: usize) -> usize {
        self.buffer(id).rows.of(self.height)
    }

    /// Adds the rows of the Step's read of this number; those outside the frame are padding.
    fn collect<'r>(&self, rows: &mut Rows<'r>, step: &Step, number: usize, unit: usize, reads: &'r ReadRows) {
        let read = &step.reads[number];
        let (base, count, buffer) = (read.base(unit), self.rows_of(read.buffer), self.buffer(read.buffer));
        for offset in &read.offsets {
            let row = match buffer.border.inside(base + offset, count) {
                Some(row) => reads.row(number, row),
                None => {
                    let row = self.layout.padding_values.iter().position(|value| *value == buffer.zero).unwrap_or(0);
                    reads.row(step.reads.len(), row)
                }
            };
            // PREPARE has checked that all rows of a unit fit.
            let _ = rows.push(row);
        }
    }

    fn conv(
        &self,
        step: &Step,
        conv: &Conv,
        unit: usize,
        columns: Range<usize>,
        reads: &ReadRows,
        writes: &mut WriteRows,
    ) {
        let (first, pixels) = (step.mac_columns.of(columns.start), step.mac_columns.of(columns.len()));
        let rows = self.conv_rows(step, conv, unit, first, reads);
        let (n, buffer) = (conv.spread, self.buffer(step.write));
        for y in 0..n {
            let out = writes.row(unit * n + y);
            for x in 0..n {
                let epilogue = self.conv_epilogue(step, conv, (unit, y), first * n + x, reads);
                let mut output =
                    Output { bytes: &mut out[buffer.pixel(first * n + x)..], step: n * buffer.stride, pixels };
                conv.packed[y * n + x].conv_row(&epilogue, &rows, &mut output);
            }
        }
    }

    /// [`StepRunner::conv`] for a unit and the next one, a row each.
    fn conv_two(
        &self,
        step: &Step,
        conv: &Conv,
        unit: usize,
        columns: Range<usize>,
        reads: &ReadRows,
        writes: &mut WriteRows,
    ) {
        let buffer = self.buffer(step.write);
        let (first, pixels) = (step.mac_columns.of(columns.start), step.mac_columns.of(columns.len()));
        let [upper, lower] = [unit, unit + 1].map(|unit| self.conv_rows(step, conv, unit, first, reads));
        let epilogues = [unit, unit + 1].map(|unit| self.conv_epilogue(step, conv, (unit, 0), first, reads));
        let [mut above, mut below] = writes.two_rows(unit).map(|out| Output {
            bytes: &mut out[buffer.pixel(first)..],
            step: buffer.stride,
            pixels,
        });
        conv.packed[0].conv_two_rows(&epilogues, [&upper, &lower], [&mut above, &mut below]);
    }

    /// What a convolution reads for the pixels of a unit from pixel `first`.
    fn conv_rows<'r>(&self, step: &Step, conv: &Conv, unit: usize, first: usize, reads: &'r ReadRows) -> Rows<'r>
    where
        'a: 'r,
    {
        let count = step.reads.len() - usize::from(conv.residual.is_some());
        let mut rows = Rows::new();
        for (number, read) in step.reads[..count].iter().enumerate() {
            let own = rows.len();
            self.collect(&mut rows, step, number, unit, reads);
            let skipped = first * read.num * self.buffer(read.buffer).stride;
            rows[own..].iter_mut().for_each(|row| *row = &row[skipped..]);
        }
        rows
    }

    /// What happens to the sums of row `y` of a unit from pixel `x` on.
    fn conv_epilogue<'r>(
        &self,
        step: &Step,
        conv: &Conv,
        (unit, y): (usize, usize),
        x: usize,
        reads: &'r ReadRows,
    ) -> Epilogue<'r> {
        let residual = conv.residual.as_ref().map(|fused| {
            let last = step.reads.len() - 1;
            let (read, skip) = (&step.reads[last], self.buffer(step.reads[last].buffer));
            let row = reads.row(last, read.base(unit) as usize + y);
            fused.over(&row[skip.pixel(x)..], conv.spread * skip.stride)
        });
        Epilogue { clamp: conv.clamp, residual }
    }

    fn depthwise(
        &self,
        step: &Step,
        depthwise: &Depthwise,
        unit: usize,
        columns: Range<usize>,
        reads: &ReadRows,
        writes: &mut WriteRows,
    ) {
        let mut rows = Rows::new();
        self.collect(&mut rows, step, 0, unit, reads);
        let (source, buffer) = (self.buffer(step.reads[0].buffer), self.buffer(step.write));
        let (start, pixels) = (step.mac_columns.of(columns.start), step.mac_columns.of(columns.len()));
        let first = source.pixel(start) - depthwise.dilation * source.stride;
        let rows = [0, 1, 2].map(|i| &rows[i][first..]);
        let residual = depthwise.residual.as_ref().map(|fused| {
            let skip = self.buffer(step.reads[1].buffer);
            fused.over(&reads.row(1, unit)[skip.pixel(start)..], skip.stride)
        });
        let epilogue = Epilogue { clamp: depthwise.clamp, residual };
        let mut output = Output { bytes: &mut writes.row(unit)[buffer.pixel(start)..], step: buffer.stride, pixels };
        let tap_step = depthwise.dilation * source.stride;
        depthwise.packed.row(source.stride, tap_step, &epilogue, rows, &mut output);
    }

    /// Bytes of the pixels of a row that lie in `columns` of the input.
    fn pixels(&self, buffer: usize, columns: &Range<usize>) -> Range<usize> {
        let b = self.buffer(buffer);
        b.pixel(b.columns.of(columns.start))..b.pixel(b.columns.of(columns.end))
    }

    fn elementwise(&self, step: &Step, unit: usize, columns: Range<usize>, reads: &ReadRows, writes: &mut WriteRows) {
        let mut inputs = Rows::new();
        for (number, read) in step.reads.iter().enumerate() {
            let first = inputs.len();
            self.collect(&mut inputs, step, number, unit, reads);
            inputs[first..].iter_mut().for_each(|row| *row = &row[self.pixels(read.buffer, &columns)]);
        }
        let (buffer, range) = (self.buffer(step.write), self.pixels(step.write, &columns));
        match step.kind {
            Kind::Shuffle(n) => {
                for y in 0..n {
                    let out = &mut writes.row(unit * n + y)[range.clone()];
                    shuffle_row(self.level, n, buffer.stride, y, inputs[0], out);
                }
                return;
            }
            Kind::Arrange(view) => {
                let sources = step.reads.iter().map(|read| self.buffer(read.buffer));
                let sources: heapless::Vec<&Buffer, MOST_READS> = sources.collect();
                for y in 0..step.unit_rows {
                    let out = &mut writes.row(unit * step.unit_rows + y)[range.clone()];
                    arrange_row(view, y, &inputs, &sources, buffer, out);
                }
                return;
            }
            _ => {}
        }
        let out = &mut writes.row(unit)[range];
        match &step.kind {
            Kind::Add { add, broadcast: false } => self.level.add_row(add, inputs[0], inputs[1], out),
            Kind::Add { add, broadcast: true } => {
                self.level.add_spread_row(add, buffer.stride, inputs[0], inputs[1], out);
            }
            Kind::Gate(gate) => self.level.gate_row(gate, buffer.stride, inputs[0], inputs[1], out),
            Kind::Pool { pool, columns: true } => self.level.pool_columns(pool, buffer.stride, inputs[0], out),
            Kind::Pool { pool, columns: false } => self.level.pool_rows(pool, &inputs, out),
            Kind::Table(tables) => self.level.table_row(tables, buffer.stride, inputs[0], out),
            Kind::Conv(_) | Kind::Depthwise(_) | Kind::Attention(_) | Kind::Shuffle(_) | Kind::Arrange(_) => {}
        }
    }

    /// Windows that `columns` of the input meet.
    fn windows(&self, step: &Step, a: &Attention, columns: Range<usize>) -> Range<usize> {
        let of = self.buffer(step.write).columns;
        let (first, last) = (of.of(columns.start) + a.shift, of.of(columns.end) + a.shift);
        first / a.window..last.div_ceil(a.window)
    }

    /// Columns of the row of windows `unit`.
    #[expect(clippy::too_many_arguments)]
    fn attention(
        &self,
        step: &Step,
        a: &Attention,
        unit: usize,
        wanted: Range<usize>,
        reads: &ReadRows,
        writes: &mut WriteRows,
        scratch: &mut Scratch,
    ) {
        let height = self.rows_of(step.write) as isize;
        let top = (unit * a.window) as isize - a.shift as isize;
        let mut rows = Rows::new();
        for (number, read) in step.reads.iter().enumerate() {
            // Rows outside the frame are the nearest inside.
            let row = |offset: &isize| (read.base(unit) + offset).clamp(0, height - 1) as usize;
            rows.extend(read.offsets.iter().map(|offset| reads.row(number, row(offset))));
        }
        let buffer = self.buffer(step.write);
        let columns = buffer.columns.of(self.width);
        for w in self.windows(step, a, wanted) {
            let left = (w * a.window) as isize - a.shift as isize;
            let gather = |which: usize, into: &mut [u8]| {
                let source = self.buffer(step.reads[which].buffer);
                gather(&rows[which * a.window..][..a.window], source, left, columns, into);
            };
            self.window(a, gather, scratch);
            let (from, to) = (left.max(0) as usize, (left + a.window as isize).min(columns as isize) as usize);
            let skipped = (from as isize - left) as usize * buffer.stride;
            let bytes = (to - from) * buffer.stride;
            for r in (0..a.window).filter(|r| (0..height).contains(&(top + *r as isize))) {
                let tokens = &scratch.attended[r * a.window * buffer.stride + skipped..][..bytes];
                let out = writes.row((top + r as isize) as usize);
                copy(tokens, &mut out[buffer.pixel(from)..][..bytes]);
            }
        }
    }

    /// One window: `gather` fills its argument with queries (0), keys (1) or values (2), token by token.
    fn window(&self, a: &Attention, gather: impl Fn(usize, &mut [u8]), s: &mut Scratch) {
        let kernels::WindowAttention { tokens, keys: key, values: value, .. } = a.kernel;
        let (query, rest) = (&mut s.query[..tokens * key], &mut s.tokens[..tokens * (key + value)]);
        let (keys, values) = rest.split_at_mut(tokens * key);
        gather(0, query);
        gather(1, keys);
        gather(2, values);
        let out = &mut s.attended[..tokens * value];
        self.level.attention_window(&a.kernel, query, keys, values, &mut s.kernel, out);
    }
}

/// Copies slices of one length. They are short, mostly a multiple of 64 bytes: calls would take longer than copying.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<64>(), to.as_chunks_mut::<64>());
    for (from, to) in from.iter().zip(to) {
        *to = *from;
    }
    if !to_rest.is_empty() {
        to_rest.copy_from_slice(from_rest);
    }
}

/// The pixels of a window, row by row; columns outside the frame are the nearest inside.
fn gather(rows: &[&[u8]], buffer: &Buffer, left: isize, columns: usize, into: &mut [u8]) {
    let (window, c) = (rows.len(), buffer.stride);
    let inside = left >= 0 && left as usize + window <= columns;
    for (row, into) in rows.iter().zip(into.chunks_exact_mut(window * c)) {
        if inside {
            copy(&row[buffer.pixel(left as usize)..][..window * c], into);
            continue;
        }
        for (x, pixel) in into.chunks_exact_mut(c).enumerate() {
            let x = (left + x as isize).clamp(0, columns as isize - 1) as usize;
            pixel.copy_from_slice(&row[buffer.pixel(x)..][..c]);
        }
    }
}

impl Fused {
    /// The residual over a row of the skip.
    fn over<'s>(&self, skip: &'s [u8], skip_step: usize) -> Residual<'s> {
        let Self { skip_zero, skip_ratio, value_ratio, clamp } = *self;
        Residual { skip, skip_step, skip_zero, skip_ratio, value_ratio, clamp }
    }
}
