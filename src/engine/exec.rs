//! Runs units of Steps: borrows rows, calls kernels.

use super::layout::Layout;
use crate::kernels::{Attend, Depthwise as DepthwiseWeights, Level, Residual, Room, Weights, Window};
use crate::memory::{Arena, RowRead, RowWrite};
use crate::plan::{Attention, Buffer, Conv, Depthwise, Fused, Kind, MOST_ROWS, Plan, Read, Step};

type Rows<'a> = heapless::Vec<RowRead<'a>, MOST_ROWS>;

/// What a thread needs to run units.
pub struct Site<'a> {
    pub plan: &'a Plan,
    pub layout: &'a Layout,
    pub arena: &'a Arena,
    pub level: Level,
    /// Size of the sub-frame.
    pub width: usize,
    pub height: usize,
}

/// A thread's own memory, made in PREPARE.
#[derive(Debug, Default)]
pub struct Scratch {
    query: Vec<u8>,
    tokens: Vec<u8>,
    scores: Vec<u8>,
    attended: Vec<u8>,
    packed: Vec<i8>,
    sums: Vec<i32>,
    multiplier: Vec<f32>,
}

impl Scratch {
    /// For all Steps of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let mut s = Self::default();
        for step in &plan.steps {
            if let Kind::Attention(a) = &step.kind {
                let (t, widest) = (a.tokens(), a.keys.max(a.values));
                grow(&mut s.query, t * a.keys);
                grow(&mut s.tokens, t * (a.keys + a.values));
                grow(&mut s.scores, t * t);
                grow(&mut s.attended, t * a.values);
                grow(&mut s.packed, t * widest);
                grow(&mut s.sums, t.max(a.values));
                grow(&mut s.multiplier, t.max(a.values));
            }
        }
        s
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let bytes = self.query.len() + self.tokens.len() + self.scores.len() + self.attended.len();
        bytes + self.packed.len() + 4 * (self.sums.len() + self.multiplier.len())
    }
}

fn grow<T: Clone + Default>(v: &mut Vec<T>, n: usize) {
    if v.len() < n {
        v.resize(n, T::default());
    }
}

impl<'a> Site<'a> {
    /// Parts that a unit of the Step falls into: the lanes of a row of windows, else one.
    pub fn parts(&self, step: &Step) -> usize {
        self.layout.lanes[step.write].0
    }

    /// Runs one part of one unit.
    pub fn run(&self, step: &Step, unit: usize, part: usize, scratch: &mut Scratch) {
        match &step.kind {
            Kind::Conv(conv) => self.conv(step, conv, unit),
            Kind::Depthwise(depthwise) => self.depthwise(step, depthwise, unit),
            Kind::Attention(attention) => self.attention(step, attention, unit, part, scratch),
            _ => self.elementwise(step, unit),
        }
    }

    fn buffer(&self, id: usize) -> &'a Buffer {
        &self.plan.buffers[id]
    }

    fn rows_of(&self, id: usize) -> usize {
        self.buffer(id).rows.of(self.height)
    }

    /// A row of a buffer that lies inside the frame.
    fn row(&self, buffer: usize, row: usize) -> RowRead<'a> {
        self.arena.read(self.layout.slot_of[buffer], row % self.layout.ring[buffer])
    }

    fn row_mut(&self, buffer: usize, row: usize) -> RowWrite<'a> {
        self.arena.write(self.layout.slot_of[buffer], row % self.layout.ring[buffer])
    }

    /// Adds the rows of a read; those outside the frame are blank.
    fn collect(&self, rows: &mut Rows<'a>, read: &Read, unit: usize) {
        let (base, count) = (read.base(unit), self.rows_of(read.buffer) as isize);
        for offset in &read.offsets {
            let row = base + offset;
            let guard = if (0..count).contains(&row) {
                self.row(read.buffer, row as usize)
            } else {
                let zero = self.buffer(read.buffer).zero;
                let blank = self.layout.blanks.iter().position(|b| *b == zero).unwrap_or(0);
                self.arena.read(self.layout.blank, blank)
            };
            // PREPARE has checked that all rows of a unit fit.
            let _ = rows.push(guard);
        }
    }

    fn conv(&self, step: &Step, conv: &Conv, unit: usize) {
        let reads = step.reads.len() - usize::from(conv.residual.is_some());
        let mut guards = Rows::new();
        step.reads[..reads].iter().for_each(|read| self.collect(&mut guards, read, unit));
        let rows: heapless::Vec<&[u8], MOST_ROWS> = guards.iter().map(|g| &**g).collect();
        let (n, buffer) = (conv.spread, self.buffer(step.write));
        let pixels = buffer.columns.of(self.width) / n;
        let window = Window { taps: &conv.taps, run: conv.run };
        for y in 0..n {
            let skip = conv.residual.as_ref().map(|fused| (fused, &step.reads[reads]));
            let skip_row = skip.map(|(_, read)| self.row(read.buffer, read.base(unit) as usize + y));
            let mut out = self.row_mut(step.write, unit * n + y);
            for x in 0..n {
                let packed = &conv.packed[y * n + x];
                let weights = Weights {
                    data: &packed.data,
                    bias: &packed.bias,
                    multiplier: &packed.multiplier,
                    outputs: packed.outputs,
                    pairs_fit: packed.pairs_fit,
                };
                let residual = skip.zip(skip_row.as_deref()).map(|((fused, read), row)| {
                    let skip = self.buffer(read.buffer);
                    fused.over(&row[skip.pixel(x)..], n * skip.stride)
                });
                let out = &mut out[buffer.pixel(x)..];
                self.level.conv_row(
                    &window,
                    &weights,
                    conv.clamp,
                    residual.as_ref(),
                    &rows,
                    out,
                    n * buffer.stride,
                    pixels,
                );
            }
        }
    }

    fn depthwise(&self, step: &Step, depthwise: &Depthwise, unit: usize) {
        let mut guards = Rows::new();
        self.collect(&mut guards, &step.reads[0], unit);
        let (source, buffer) = (self.buffer(step.reads[0].buffer), self.buffer(step.write));
        let first = source.pixel(0) - depthwise.dilation * source.stride;
        let rows = [0, 1, 2].map(|i| &guards[i][first..]);
        let skip_row = depthwise.residual.as_ref().map(|_| self.row(step.reads[1].buffer, unit));
        let residual = depthwise.residual.as_ref().zip(skip_row.as_deref()).map(|(fused, row)| {
            let skip = self.buffer(step.reads[1].buffer);
            fused.over(&row[skip.pixel(0)..], skip.stride)
        });
        let weights = DepthwiseWeights {
            data: &depthwise.data,
            bias: &depthwise.bias,
            multiplier: &depthwise.multiplier,
            channels: buffer.stride,
            tap_step: depthwise.dilation * source.stride,
            step: source.stride,
        };
        let mut out = self.row_mut(step.write, unit);
        let out = &mut out[buffer.pixel(0)..];
        self.level.depthwise_row(
            &weights,
            depthwise.clamp,
            residual.as_ref(),
            rows,
            out,
            buffer.stride,
            buffer.columns.of(self.width),
        );
    }

    /// The pixels of a row.
    fn pixels<'r>(&self, buffer: usize, row: &'r [u8]) -> &'r [u8] {
        let b = self.buffer(buffer);
        &row[b.pixel(0)..b.pixel(b.columns.of(self.width))]
    }

    fn elementwise(&self, step: &Step, unit: usize) {
        let mut guards = Rows::new();
        step.reads.iter().for_each(|read| self.collect(&mut guards, read, unit));
        let inputs: heapless::Vec<&[u8], MOST_ROWS> = {
            let buffers = step.reads.iter().flat_map(|r| r.offsets.iter().map(|_| r.buffer));
            buffers.zip(&guards).map(|(b, g)| self.pixels(b, g)).collect()
        };
        let buffer = self.buffer(step.write);
        let range = buffer.pixel(0)..buffer.pixel(buffer.columns.of(self.width));
        if let Kind::Shuffle(n) = step.kind {
            for y in 0..n {
                let mut out = self.row_mut(step.write, unit * n + y);
                self.level.shuffle_row(n, y, inputs[0], &mut out[range.clone()]);
            }
            return;
        }
        let mut out = self.row_mut(step.write, unit);
        let out = &mut out[range];
        match &step.kind {
            Kind::Add { add, broadcast: false } => self.level.add_row(add, inputs[0], inputs[1], out),
            Kind::Add { add, broadcast: true } => {
                self.level.add_spread_row(add, buffer.stride, inputs[0], inputs[1], out);
            }
            Kind::Gate(gate) => self.level.gate_row(gate, buffer.stride, inputs[0], inputs[1], out),
            Kind::Pool { count, columns: true, bias, multiplier, clamp } => {
                self.level.pool_columns(buffer.stride, *count, *bias, *multiplier, *clamp, inputs[0], out);
            }
            Kind::Pool { bias, multiplier, clamp, .. } => {
                self.level.pool_rows(*bias, *multiplier, *clamp, &inputs, out)
            }
            Kind::Conv(_) | Kind::Depthwise(_) | Kind::Attention(_) | Kind::Shuffle(_) => {}
        }
    }

    /// One lane of the row of windows `unit`.
    fn attention(&self, step: &Step, a: &Attention, unit: usize, lane: usize, scratch: &mut Scratch) {
        let height = self.rows_of(step.write);
        let top = (unit * a.window) as isize - a.shift as isize;
        let inside = |row: isize| row.clamp(0, height as isize - 1) as usize;
        let mut rows = Rows::new();
        // A row that is clamped is borrowed more than once; readers may share.
        for read in &step.reads {
            for offset in &read.offsets {
                let _ = rows.push(self.row(read.buffer, inside(read.base(unit) + offset)));
            }
        }
        let slot = self.layout.slot_of[step.write];
        let mut outs: heapless::Vec<(usize, RowWrite), MOST_ROWS> = heapless::Vec::new();
        for r in 0..a.window {
            let row = top + r as isize;
            if (0..height as isize).contains(&row) {
                let guard = self.arena.write_lanes(slot, row as usize % self.layout.ring[step.write], lane..lane + 1);
                let _ = outs.push((r, guard));
            }
        }
        let first_byte = self.arena.slot(slot).lane(lane);
        let buffer = self.buffer(step.write);
        let columns = buffer.columns.of(self.width);
        let each = self.layout.lanes[step.write].1;
        let windows = columns / a.window + usize::from(a.shift > 0);
        for w in lane * each..((lane + 1) * each).min(windows) {
            let left = (w * a.window) as isize - a.shift as isize;
            let sources: [&Buffer; 3] = [0, 1, 2].map(|i| self.buffer(step.reads[i].buffer));
            let gather = |which: usize, into: &mut [u8]| {
                gather(&rows[which * a.window..][..a.window], sources[which], left, columns, into);
            };
            self.window(a, gather, scratch);
            let (from, to) = (left.max(0) as usize, (left + a.window as isize).min(columns as isize) as usize);
            let skipped = (from as isize - left) as usize * buffer.stride;
            for (r, out) in &mut outs {
                let tokens =
                    &scratch.attended[*r * a.window * buffer.stride + skipped..][..(to - from) * buffer.stride];
                let at = buffer.pixel(from) - first_byte;
                out[at..at + tokens.len()].copy_from_slice(tokens);
            }
        }
    }

    /// One window: `gather` fills its argument with queries (0), keys (1) or values (2), token by token.
    fn window(&self, a: &Attention, gather: impl Fn(usize, &mut [u8]), s: &mut Scratch) {
        let tokens = a.tokens();
        let (query, rest) = (&mut s.query[..tokens * a.keys], &mut s.tokens[..tokens * (a.keys + a.values)]);
        let (keys, values) = rest.split_at_mut(tokens * a.keys);
        gather(0, query);
        gather(1, keys);
        gather(2, values);
        let attend = Attend {
            tokens,
            keys: a.keys,
            values: a.values,
            query_zero: a.query_zero,
            score_multiplier: a.score_multiplier,
            scores: a.scores,
            multiplier: a.multiplier,
            clamp: a.clamp,
        };
        let mut room =
            Room { packed: &mut s.packed, sums: &mut s.sums, multiplier: &mut s.multiplier, scores: &mut s.scores };
        let out = &mut s.attended[..tokens * a.values];
        self.level.attention_window(&attend, query, keys, values, &mut room, out);
    }
}

/// The pixels of a window, row by row; columns outside the frame are the nearest inside.
fn gather(rows: &[RowRead], buffer: &Buffer, left: isize, columns: usize, into: &mut [u8]) {
    let (window, c) = (rows.len(), buffer.stride);
    let inside = left >= 0 && left as usize + window <= columns;
    for (row, into) in rows.iter().zip(into.chunks_exact_mut(window * c)) {
        if inside {
            into.copy_from_slice(&row[buffer.pixel(left as usize)..][..window * c]);
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
