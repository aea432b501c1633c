//! A frame, or a tile treated as one, through all Steps, strip by strip.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::crew::{Crew, Order};
use super::exec::{Scratch, Site};
use super::layout::Layout;
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::Arena;
use crate::plan::{Plan, Progress};

/// Stack of a helper thread: kernels and row lists need a fraction of it.
pub const STACK: usize = 256 << 10;

/// What the threads share.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    layout: Layout,
    arena: Arena,
    level: Level,
    crew: Crew,
}

impl Shared {
    /// One thread's part of a pass, which begins at Step number `turn`. Returns the number after its last, and
    /// adds the time of each Step to `times`, if there are any.
    fn pass(
        &self,
        size: Size,
        progress: &mut Progress,
        mut turn: u32,
        scratch: &mut Scratch,
        times: &mut [Duration],
    ) -> u32 {
        let (plan, Size { width, height }) = (&self.plan, size);
        let site = Site { plan, layout: &self.layout, arena: &self.arena, level: self.level, width, height };
        for (index, step) in plan.steps.iter().enumerate() {
            let units = progress.ready(plan, index, height, self.layout.strip);
            if units.is_empty() {
                continue;
            }
            progress.advance(index, &units);
            let begin = (!times.is_empty()).then(Instant::now);
            let parts = site.parts(step);
            let part = |i: usize| site.run(step, units.start + i / parts, i % parts, scratch);
            self.crew.share(turn, units.len() * parts, part);
            turn = turn.wrapping_add(1);
            if let Some(begin) = begin {
                times[index] += begin.elapsed();
            }
        }
        turn
    }

    /// Life of a helper thread.
    fn help(&self, mut order: Order, mut scratch: Scratch) {
        struct Alarm<'a>(&'a Crew);
        impl Drop for Alarm<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.fail();
                }
            }
        }
        let _alarm = Alarm(&self.crew);
        self.crew.begin();
        loop {
            self.crew.wait(&mut order);
            if order.quit {
                return;
            }
            self.pass(order.size, &mut order.progress, order.turn, &mut scratch, &mut []);
        }
    }
}

/// Runs sub-frames; owns the arena and the helper threads.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    progress: Progress,
    scratch: Scratch,
    size: Size,
    /// Width that the borders are written for.
    bordered: usize,
    input_rows: usize,
    output_rows: usize,
    /// Number of the next Step, counted over all passes.
    turn: u32,
    /// Time spent in each Step; empty when it is not taken.
    times: Vec<Duration>,
}

impl Runner {
    /// Allocates for sub-frames of at most `size`, which `layout` was made for.
    pub fn new(plan: Plan, layout: Layout, size: Size, level: Level, threads: usize) -> std::io::Result<Self> {
        let arena = Arena::new(&layout.slots);
        for (row, zero) in layout.blanks.iter().enumerate() {
            arena.write(layout.blank, row).fill(*zero);
        }
        let progress = Progress::new(&plan);
        let crew = Crew::new(threads, progress.clone());
        let shared = Arc::new(Shared { plan, layout, arena, level, crew });
        let scratch = Scratch::new(&shared.plan);
        let mut runner = Self {
            shared,
            helpers: vec![],
            progress,
            scratch,
            size,
            bordered: 0,
            input_rows: 0,
            output_rows: 0,
            turn: 0,
            times: vec![],
        };
        for thread in 1..threads {
            let shared = Arc::clone(&runner.shared);
            let scratch = Scratch::new(&shared.plan);
            let order = Order { number: 0, size, progress: runner.progress.clone(), turn: 0, quit: false };
            let name = format!("bifocal-{thread}");
            let helper = std::thread::Builder::new().name(name).stack_size(STACK);
            runner.helpers.push(helper.spawn(move || shared.help(order, scratch))?);
        }
        runner.shared.crew.wait_for(runner.helpers.len());
        Ok(runner)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// Takes the time of each Step from now on.
    pub fn profile(&mut self) {
        self.times = vec![Duration::ZERO; self.shared.plan.steps.len()];
    }

    /// Time spent in each Step since [`Runner::profile`].
    pub fn times(&self) -> &[Duration] {
        &self.times
    }

    /// A sub-frame of `size` begins; multiples of the plan's grid.
    pub fn begin(&mut self, size: Size) {
        self.size = size;
        (self.input_rows, self.output_rows) = (0, 0);
        self.progress.reset();
        if self.bordered != size.width {
            self.borders(size.width);
            self.bordered = size.width;
        }
    }

    /// Writes the zero points left and right of each row, for rows `width` pixels wide.
    fn borders(&self, width: usize) {
        let Shared { plan, layout, arena, .. } = &*self.shared;
        for (b, buffer) in plan.buffers.iter().enumerate().filter(|(_, b)| b.left + b.right > 0) {
            let end = buffer.pixel(buffer.columns.of(width));
            for row in 0..layout.ring[b] {
                let mut row = arena.write(layout.slot_of[b], row);
                row[..buffer.pixel(0)].fill(buffer.zero);
                row[end..end + buffer.right * buffer.stride].fill(buffer.zero);
            }
        }
    }

    /// The next input row: `fill` writes its luma, and `emit` gets each output row that is made, with its number.
    pub fn push<E>(
        &mut self,
        fill: impl FnOnce(&mut [u8]),
        mut emit: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let shared = Arc::clone(&self.shared);
        let Shared { plan, layout, arena, .. } = &*shared;
        let buffer = &plan.buffers[plan.input];
        let mut row = arena.write(layout.slot_of[plan.input], self.input_rows % layout.ring[plan.input]);
        fill(&mut row[buffer.pixel(0)..buffer.pixel(self.size.width)]);
        drop(row);
        self.input_rows += 1;
        if self.input_rows == self.size.height {
            while self.output_rows < plan.scale * self.size.height {
                self.pass();
                self.drain(&mut emit)?;
            }
        } else if self.input_rows.is_multiple_of(layout.strip) {
            self.pass();
            self.drain(&mut emit)?;
        }
        Ok(())
    }

    fn pass(&mut self) {
        self.progress.set_input(self.input_rows);
        self.shared.crew.give(self.size, &self.progress, self.turn);
        self.turn = self.shared.pass(self.size, &mut self.progress, self.turn, &mut self.scratch, &mut self.times);
    }

    fn drain<E>(&mut self, emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let Shared { plan, layout, arena, .. } = &*self.shared;
        let made = self.progress.output_rows(plan, self.size.height);
        let buffer = &plan.buffers[plan.output];
        let range = buffer.pixel(0)..buffer.pixel(buffer.columns.of(self.size.width));
        while self.output_rows < made {
            let y = self.output_rows;
            self.output_rows += 1;
            emit(y, &arena.read(layout.slot_of[plan.output], y % layout.ring[plan.output])[range.clone()])?;
        }
        Ok(())
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.shared.crew.quit();
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
    }
}
