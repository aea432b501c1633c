//! A frame, or a tile treated as one, through all Steps, strip by strip.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::crew::{Crew, Frame};
use super::exec::{Scratch, Site};
use super::layout::Layout;
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::{Arena, Claim, Seat};
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
    /// Is the time of each Step taken?
    profiled: AtomicBool,
    /// Nanoseconds that all threads spent in each Step.
    times: Vec<AtomicU64>,
}

/// What a thread has for itself.
#[derive(Debug)]
struct Worker {
    number: usize,
    seat: Seat,
    scratch: Scratch,
    /// Before the pass `next` of the frame.
    progress: Progress,
    next: u64,
    frame: Option<Frame>,
}

impl Shared {
    /// Runs a pass that the thread has claimed.
    fn pass(&self, pass: u64, worker: &mut Worker) {
        /// Rings when a pass ends in a panic.
        struct Alarm<'a>(&'a Crew);
        impl Drop for Alarm<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.fail();
                }
            }
        }
        let _alarm = Alarm(&self.crew);
        let Self { plan, layout, arena, level, crew, .. } = self;
        let Worker { number, seat, scratch, progress, next, .. } = worker;
        let frame = crew.frame();
        if worker.frame != Some(frame) {
            worker.frame = Some(frame);
            progress.begin(plan, frame.size.height);
            *next = frame.first;
        }
        while *next < pass {
            progress.skip_pass(plan, layout.strips);
            *next += 1;
        }
        *next += 1;
        progress.next_pass(layout.strips);
        let Size { width, height } = frame.size;
        let site = Site { plan, layout, arena, level: *level, thread: *number, width, height };
        let profiled = self.profiled.load(Ordering::Relaxed);
        let mut seen = 0;
        for (index, step) in plan.steps.iter().enumerate() {
            let units = progress.take(plan, index, layout.strips);
            if units.is_empty() {
                continue;
            }
            crew.follow(pass, index, &mut seen);
            let begin = profiled.then(Instant::now);
            site.run(step, units, seat, scratch);
            if let Some(begin) = begin {
                self.times[index].fetch_add(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
            crew.mark(pass, index + 1);
        }
        crew.follow(pass, plan.steps.len() - 1, &mut seen);
        crew.finish(pass, progress.output_rows(plan));
    }

    /// Life of a helper thread.
    fn help(&self, mut worker: Worker) {
        self.crew.begin();
        while let Some(pass) = self.crew.claim_or_sleep() {
            self.pass(pass, &mut worker);
        }
    }
}

/// Runs sub-frames; owns the arena and the helper threads.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    worker: Worker,
    size: Size,
    /// Width that the borders are written for.
    bordered: usize,
    input_rows: usize,
    output_rows: usize,
    /// Passes whose output rows have been taken.
    taken: u64,
}

impl Runner {
    /// Allocates for sub-frames of at most `size`, which `layout` was made for.
    pub fn new(plan: Plan, layout: Layout, size: Size, level: Level, threads: usize) -> std::io::Result<Self> {
        let (arena, mut seats) = Arena::new(&layout.slots, threads);
        let claim = layout.blank();
        for (row, zero) in layout.blanks.iter().enumerate() {
            arena.hold(&mut seats[0], &[], &claim).split().1.row(row).fill(*zero);
        }
        let crew = Crew::new(layout.stagger.clone());
        let times = plan.steps.iter().map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared { plan, layout, arena, level, crew, profiled: AtomicBool::new(false), times });
        let worker = |(number, seat)| Worker {
            number,
            seat,
            scratch: Scratch::new(&shared.plan, level),
            progress: Progress::new(&shared.plan),
            next: 0,
            frame: None,
        };
        let mut workers = seats.into_iter().enumerate().map(worker);
        let own = workers.next().expect("one thread at least");
        let mut helpers = Vec::with_capacity(threads - 1);
        for worker in workers {
            let shared = Arc::clone(&shared);
            let helper = std::thread::Builder::new().name(format!("bifocal-{}", worker.number)).stack_size(STACK);
            helpers.push(helper.spawn(move || shared.help(worker))?);
        }
        shared.crew.wait_for_helpers(helpers.len());
        let (bordered, input_rows, output_rows) = (0, 0, 0);
        Ok(Self { shared, helpers, worker: own, size, bordered, input_rows, output_rows, taken: 0 })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// Takes the time of each Step from now on.
    pub fn profile(&mut self) {
        self.shared.profiled.store(true, Ordering::Relaxed);
    }

    /// Time that all threads together spent in each Step since [`Runner::profile`]; empty without it.
    pub fn times(&self) -> impl Iterator<Item = Duration> + '_ {
        let profiled = self.shared.profiled.load(Ordering::Relaxed);
        let times = self.shared.times.iter().take(if profiled { self.shared.times.len() } else { 0 });
        times.map(|nanos| Duration::from_nanos(nanos.load(Ordering::Relaxed)))
    }

    /// A sub-frame of `size` begins; multiples of the plan's grid. What is left of the one before is made first.
    pub fn begin(&mut self, size: Size) {
        while self.taken < self.shared.crew.issued() {
            match self.shared.crew.finished(self.taken) {
                Some(_) => self.taken += 1,
                None => self.work(),
            }
        }
        self.size = size;
        (self.input_rows, self.output_rows) = (0, 0);
        self.shared.crew.next_frame(size);
        if self.bordered != size.width {
            self.borders(size.width);
            self.bordered = size.width;
        }
    }

    /// Writes the zero points left and right of each row, for rows `width` pixels wide.
    fn borders(&mut self, width: usize) {
        let Shared { plan, layout, arena, .. } = &*self.shared;
        for (b, buffer) in plan.buffers.iter().enumerate().filter(|(_, b)| b.left + b.right > 0) {
            let end = buffer.pixel(buffer.columns.of(width));
            for thread in 0..layout.stagger.passes {
                let claim = layout.claim(thread, b, 0..layout.ring[b]);
                let mut held = arena.hold(&mut self.worker.seat, &[], &claim);
                for row in 0..layout.ring[b] {
                    let row = held.split().1.row(row);
                    row[..buffer.pixel(0)].fill(buffer.zero);
                    row[end..end + buffer.right * buffer.stride].fill(buffer.zero);
                }
            }
        }
    }

    /// The next input row, whose luma `fill` writes; [`Runner::advance`] comes after each.
    pub fn push(&mut self, fill: impl FnOnce(&mut [u8])) {
        let Shared { plan, layout, arena, .. } = &*self.shared;
        let (buffer, y) = (&plan.buffers[plan.input], self.input_rows);
        let mut held = arena.hold(&mut self.worker.seat, &[], &layout.claim(0, plan.input, y..y + 1));
        fill(&mut held.split().1.row(y)[buffer.pixel(0)..buffer.pixel(self.size.width)]);
        self.input_rows += 1;
    }

    /// Makes what the input rows are there for: `emit` gets each output row that is made, with its number.
    pub fn advance<E>(&mut self, mut emit: impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.input_rows == self.size.height {
            let rows = self.plan().scale * self.size.height;
            while self.output_rows < rows {
                self.issue(&mut emit)?;
            }
        } else if self.shared.layout.strips.end_at(self.input_rows) {
            self.issue(&mut emit)?;
        }
        Ok(())
    }

    /// Lets another pass begin; takes what is made, and helps, until the next may be issued.
    fn issue<E>(&mut self, emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.shared.crew.issue();
        loop {
            self.take(emit)?;
            if self.shared.crew.issued() - self.taken < self.shared.layout.stagger.window as u64 {
                return Ok(());
            }
            self.work();
        }
    }

    /// Runs a pass, or waits for the oldest when others run all.
    fn work(&mut self) {
        match self.shared.crew.claim() {
            Some(pass) => self.shared.pass(pass, &mut self.worker),
            None => self.shared.crew.wait_for(self.taken),
        }
    }

    /// Gives the output rows of passes that are over to `emit`.
    fn take<E>(&mut self, emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let Shared { plan, layout, arena, crew, .. } = &*self.shared;
        let buffer = &plan.buffers[plan.output];
        let range = buffer.pixel(0)..buffer.pixel(buffer.columns.of(self.size.width));
        while let Some(made) = (self.taken < crew.issued()).then(|| crew.finished(self.taken)).flatten() {
            let claim = layout.claim(0, plan.output, self.output_rows..made);
            let mut held = arena.hold(&mut self.worker.seat, &[claim], &Claim::NONE);
            for y in self.output_rows..made {
                self.output_rows = y + 1;
                emit(y, &held.split().0.row(0, y)[range.clone()])?;
            }
            self.taken += 1;
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
