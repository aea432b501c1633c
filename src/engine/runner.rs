//! A frame, or a tile treated as one, through all Steps, strip by strip.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::classes::Routes;
use super::exec::{Scratch, StepRunner};
use super::layout::Layout;
use super::scheduler::{FrameRun, Scheduler};
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::{Arena, Borrower, RingRows};
use crate::plan::{Plan, Progress};

/// Stack of a helper thread: kernels and row lists need a fraction of it.
pub const STACK: usize = 256 << 10;

/// What the threads share.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    layout: Layout,
    /// What windows get; none when all get everything.
    routes: Option<Routes>,
    arena: Arena,
    level: Level,
    scheduler: Scheduler,
    /// Is the time of each Step taken?
    profiled: AtomicBool,
    /// Nanoseconds that all threads spent in each Step.
    times: Vec<AtomicU64>,
    /// Multiply-adds of each Step, where there are routes.
    macs: Vec<AtomicU64>,
}

/// What belongs to one thread.
#[derive(Debug)]
struct Worker {
    number: usize,
    borrower: Borrower,
    scratch: Scratch,
    /// Before the pass `next` of the frame.
    progress: Progress,
    next: u64,
    frame: Option<FrameRun>,
}

impl Shared {
    /// Runs a pass that the thread has taken.
    fn pass(&self, pass: u64, worker: &mut Worker) {
        /// Tells the other threads when the pass ends in a panic.
        struct FailOnPanic<'a>(&'a Scheduler);
        impl Drop for FailOnPanic<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.fail();
                }
            }
        }
        let _guard = FailOnPanic(&self.scheduler);
        let Self { plan, layout, routes, arena, level, scheduler, .. } = self;
        let Worker { number, borrower, scratch, progress, next, .. } = worker;
        let frame = scheduler.frame();
        if worker.frame != Some(frame) {
            worker.frame = Some(frame);
            progress.begin(plan, frame.size.height);
            *next = frame.first_pass;
        }
        while *next < pass {
            progress.skip_pass(plan, layout.strips);
            *next += 1;
        }
        *next += 1;
        progress.next_pass(layout.strips);
        let Size { width, height } = frame.size;
        let routes = routes.as_ref().filter(|routes| !routes.map.is_all());
        let runner = StepRunner { plan, layout, routes, arena, level: *level, thread: *number, width, height };
        let profiled = self.profiled.load(Ordering::Relaxed);
        let mut seen = 0;
        for index in 0..plan.steps.len() {
            let units = progress.take(plan, index, layout.strips);
            if units.is_empty() {
                continue;
            }
            scheduler.wait_for_lead(pass, index, &mut seen);
            let (begin, before) = (profiled.then(Instant::now), scratch.macs);
            runner.run(index, units.clone(), borrower, scratch);
            if routes.is_none() && self.routes.is_some() {
                scratch.macs += plan.steps[index].unit_macs(units, frame.size, plan);
            }
            if let Some(begin) = begin {
                self.times[index].fetch_add(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
                self.macs[index].fetch_add(scratch.macs - before, Ordering::Relaxed);
            }
            scheduler.publish(pass, index + 1);
        }
        scheduler.wait_for_lead(pass, plan.steps.len() - 1, &mut seen);
        if let Some(routes) = &self.routes {
            routes.macs.fetch_add(std::mem::take(&mut scratch.macs), Ordering::Relaxed);
        }
        scheduler.finish(pass, progress.output_rows(plan));
    }

    /// What a helper thread does.
    fn helper_loop(&self, mut worker: Worker) {
        self.scheduler.helper_started();
        while let Some(pass) = self.scheduler.take_or_sleep() {
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
    pub fn new(
        plan: Plan,
        layout: Layout,
        routes: Option<Routes>,
        size: Size,
        level: Level,
        threads: usize,
    ) -> std::io::Result<Self> {
        let ranges = routes.as_ref().map_or(0, |routes| size.width.div_ceil(routes.routing.window) + 1);
        let (arena, mut borrowers) = Arena::new(&layout.slots, threads);
        let padding = layout.padding();
        for (row, value) in layout.padding_values.iter().enumerate() {
            arena.borrow(&mut borrowers[0], &[], &padding).split().1.row(row).fill(*value);
        }
        let scheduler = Scheduler::new(layout.wavefront.clone());
        let counters = || plan.steps.iter().map(|_| AtomicU64::new(0)).collect();
        let (times, macs, profiled) = (counters(), counters(), AtomicBool::new(false));
        let shared = Arc::new(Shared { plan, layout, routes, arena, level, scheduler, profiled, times, macs });
        let worker = |(number, borrower)| Worker {
            number,
            borrower,
            scratch: Scratch::new(&shared.plan, level, ranges),
            progress: Progress::new(&shared.plan),
            next: 0,
            frame: None,
        };
        let mut workers = borrowers.into_iter().enumerate().map(worker);
        let own = workers.next().expect("one thread at least");
        let mut helpers = Vec::with_capacity(threads - 1);
        for worker in workers {
            let shared = Arc::clone(&shared);
            let helper = std::thread::Builder::new().name(format!("bifocal-{}", worker.number)).stack_size(STACK);
            helpers.push(helper.spawn(move || shared.helper_loop(worker))?);
        }
        shared.scheduler.wait_for_helpers(helpers.len());
        let (bordered, input_rows, output_rows) = (0, 0, 0);
        Ok(Self { shared, helpers, worker: own, size, bordered, input_rows, output_rows, taken: 0 })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// What windows get; rows of windows are set before the passes that need them are issued.
    pub fn routes(&self) -> Option<&Routes> {
        self.shared.routes.as_ref()
    }

    /// Leaves the passes of the frames to come to the caller's thread alone, or to all.
    pub fn rest_helpers(&self, resting: bool) {
        self.shared.scheduler.rest(resting);
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

    /// Multiply-adds of each Step since [`Runner::profile`], where windows differ.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub fn macs(&self) -> impl Iterator<Item = u64> + '_ {
        let counted = self.shared.routes.is_some();
        self.shared.macs.iter().filter(move |_| counted).map(|macs| macs.load(Ordering::Relaxed))
    }

    /// A sub-frame of `size` begins; multiples of the plan's grid. What is left of the one before is finished first.
    pub fn begin(&mut self, size: Size) {
        while self.taken < self.shared.scheduler.issued() {
            match self.shared.scheduler.finished(self.taken) {
                Some(_) => self.taken += 1,
                None => self.work(),
            }
        }
        self.size = size;
        (self.input_rows, self.output_rows) = (0, 0);
        self.shared.scheduler.next_frame(size);
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
            for thread in 0..layout.wavefront.passes {
                let rows = layout.ring_rows(thread, b, 0..layout.ring[b]);
                let mut borrow = arena.borrow(&mut self.worker.borrower, &[], &rows);
                for row in 0..layout.ring[b] {
                    let row = borrow.split().1.row(row);
                    row[..buffer.pixel(0)].fill(buffer.zero);
                    row[end..end + buffer.right * buffer.stride].fill(buffer.zero);
                }
            }
        }
    }

    /// The next input row, whose bytes `fill` writes; [`Runner::advance`] comes after each.
    pub fn push(&mut self, fill: impl FnOnce(&mut [u8])) {
        let Shared { plan, layout, arena, .. } = &*self.shared;
        let (buffer, y) = (&plan.buffers[plan.input], self.input_rows);
        let rows = layout.ring_rows(0, plan.input, y..y + 1);
        let mut borrow = arena.borrow(&mut self.worker.borrower, &[], &rows);
        let row = borrow.split().1.row(y);
        fill(&mut row[buffer.pixel(0)..buffer.pixel(self.size.width)]);
        buffer.continue_row(row, self.size.width);
        self.input_rows += 1;
    }

    /// Computes what the input rows suffice for: `emit` gets each output row that is made, with its number.
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

    /// Issues another pass; takes finished rows, and runs passes, until the next may be issued.
    fn issue<E>(&mut self, emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.shared.scheduler.issue();
        loop {
            self.take(emit)?;
            if self.shared.scheduler.issued() - self.taken < self.shared.layout.wavefront.window as u64 {
                return Ok(());
            }
            self.work();
        }
    }

    /// Runs a pass, or waits for the oldest when others run all.
    fn work(&mut self) {
        match self.shared.scheduler.take() {
            Some(pass) => self.shared.pass(pass, &mut self.worker),
            None => self.shared.scheduler.wait_for(self.taken),
        }
    }

    /// Gives the output rows of passes that have ended to `emit`.
    fn take<E>(&mut self, emit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let Shared { plan, layout, arena, scheduler, .. } = &*self.shared;
        let buffer = &plan.buffers[plan.output];
        let range = buffer.pixel(0)..buffer.pixel(buffer.columns.of(self.size.width));
        while let Some(made) = (self.taken < scheduler.issued()).then(|| scheduler.finished(self.taken)).flatten() {
            let rows = layout.ring_rows(0, plan.output, self.output_rows..made);
            let mut borrow = arena.borrow(&mut self.worker.borrower, &[rows], &RingRows::NONE);
            for y in self.output_rows..made {
                self.output_rows = y + 1;
                emit(y, &borrow.split().0.row(0, y)[range.clone()])?;
            }
            self.taken += 1;
        }
        Ok(())
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.shared.scheduler.stop();
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
    }
}
