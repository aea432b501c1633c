//! PREPARE and FRAME: owns the arena and the threads.
//!
//! PREPARE ([`Engine::prepare`]) plans, allocates and validates. FRAME ([`Engine::push`] for rows, [`Engine::upscale`]
//! for whole frames) allocates nothing.

mod arrange;
mod classes;
mod crew;
mod detail;
mod exec;
mod float;
mod frames;
mod int8;
mod layout;
mod options;
mod pace;
mod pixels;
mod prepare;
mod report;
mod router;
mod runner;
mod scheduler;
mod still;
mod threads;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::{Chroma, Colour, PixelFormat, Plane, ToRgb, YuvFormat};
use crate::geom::{MAX_SIDE, Size};
use crate::kernels::Level;
use crate::memory::{can_get, display_bytes};
use crate::model::{Branches, FloatNetwork, Model, ModelError};
pub(crate) use crate::plan::Class;
use crate::plan::{Plan, PlanError};
use crate::tile::{MIN_TILE, Tile};
use detail::Detail;
use float::FloatRunner;
use int8::{Int8, Row};
use router::Rule;

#[doc(hidden)]
pub use options::Classes;
pub use options::Options;
pub use report::{BufferReport, Report, StepReport};
pub use router::Windows;
#[cfg(feature = "cli")]
pub(crate) use still::Shape;
pub(crate) use still::Watch;
pub use still::{Still, Tolerance};
pub use threads::Threads;

/// Most threads: beyond these more help no network this small.
pub const MOST_THREADS: usize = 16;

/// Effort of [`Branches::Auto`] where none is asked for.
pub const DEFAULT_EFFORT: u8 = 75;

/// Why PREPARE failed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The budget is too small.
    #[error("a budget of {} is too small for this frame: the least that works is {}", display_bytes(*given), display_bytes(*needed))]
    Budget {
        /// Least bytes that work.
        needed: usize,
        /// Bytes given.
        given: usize,
    },
    /// The model has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A frame without pixels, or with too many.
    #[error("a frame of {0} cannot be upscaled; sides from 1 to {MAX_SIDE} can")]
    Size(Size),
    /// A tile that is too small or too large.
    #[error("a tile of {0}; {MIN_TILE} to {MAX_SIDE} pixels are supported")]
    Tile(usize),
    /// YUV frames have luma and chroma, not pixels of another format.
    #[error("YUV frames of {0:?}; their luma is Gray8")]
    Yuv(PixelFormat),
    /// Only planes of luma and chroma are converted to RGB.
    #[error("a conversion to RGB is for YUV frames whose luma has a plane")]
    Rgb,
    /// An effort that is none.
    #[error("an effort of {0}; 0 to 100 are supported")]
    Effort(u8),
    /// A deadline for windows that all get the same.
    #[error("a deadline is for branches that are chosen window by window")]
    Deadline,
    /// Too few or too many threads.
    #[error("{0} threads; 1 to {MOST_THREADS} are supported")]
    Threads(usize),
    /// The model cannot be run at this size, or its branches not alone.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The system does not give what the budget allows.
    #[error("this takes {} of memory, which the system does not give", display_bytes(*.0))]
    Memory(usize),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Spawn(#[from] std::io::Error),
}

/// Why a row was not taken.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum PushError<E> {
    /// A row of another length than the frame's.
    #[error("a row of {given} bytes; the frame's have {needed}")]
    RowLength {
        /// Bytes given.
        given: usize,
        /// Bytes of a row.
        needed: usize,
    },
    /// The engine is prepared for YUV frames, which have no rows of pixels, or for windows that stand still or deadlines, which
    /// whole frames have.
    #[error("the engine takes whole frames, not rows")]
    WholeFrames,
    /// A network that runs in floats failed; the frame is forgotten.
    #[error("the network failed: {0}")]
    Network(String),
    /// What the receiver of a row said; the frame is forgotten.
    #[error(transparent)]
    Receiver(E),
}

impl PushError<Infallible> {
    /// Why the network failed, to a receiver that cannot.
    pub(crate) fn network(self) -> String {
        match self {
            Self::Network(reason) => reason,
            other => other.to_string(),
        }
    }
}

/// Why a frame was not taken. Nothing was written then, unless the network failed.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A network that runs in floats failed.
    #[error("the network failed: {0}")]
    Network(String),
    /// Another number of planes than the format has.
    #[error("{given} planes; the format has {needed}")]
    Planes {
        /// Planes given.
        given: usize,
        /// Planes of the format.
        needed: usize,
    },
    /// The memory or the stride of an input plane is too small.
    #[error("plane {plane} of the input is too small for {rows} rows of {row_bytes} bytes")]
    Input {
        /// Number of the plane.
        plane: usize,
        /// Rows that are needed.
        rows: usize,
        /// Bytes of a row.
        row_bytes: usize,
    },
    /// The memory or the stride of an output plane is too small.
    #[error("plane {plane} of the output is too small for {rows} rows of {row_bytes} bytes")]
    Output {
        /// Number of the plane.
        plane: usize,
        /// Rows that are needed.
        rows: usize,
        /// Bytes of a row.
        row_bytes: usize,
    },
}

/// Plans without allocating for frames.
pub fn survey(model: &Model, options: &Options) -> Result<Report, PrepareError> {
    check(options)?;
    match way(model, options)? {
        Way::Int8(plan) => {
            let choice = prepare::choose(&plan, options)?;
            Ok(prepare::report(&plan, options, model, &choice, Some(prepare::least(&plan, options))))
        }
        Way::Float(network) => {
            let (choice, least) = float::choose(&network, options)?;
            Ok(float::report(&network, options, model, &choice, Some(least)))
        }
    }
}

/// The way that a model runs.
enum Way<'m> {
    Int8(Plan),
    Float(Cow<'m, FloatNetwork>),
}

/// In integers where the plan takes the network, else in floats.
fn way<'m>(model: &'m Model, options: &Options) -> Result<Way<'m>, PrepareError> {
    if let Some(network) = model.float() {
        model.zeroed(options.branches)?;
        return Ok(Way::Float(Cow::Borrowed(network)));
    }
    match Plan::new(model, options.branches, options.level) {
        Ok(plan) => match rule(model, options)? {
            None => Ok(Way::Int8(plan)),
            Some(Rule::Full) => Ok(Way::Int8(plan.routed_whole())),
            Some(rule) => {
                let unsupported = |reason: String| PlanError::Unsupported {
                    model: model.metadata().name.clone(),
                    node: "output".into(),
                    reason: format!("windows cannot differ: {reason}"),
                };
                let given = model.zeroed(Branches::Cnn).unwrap_or_default();
                let plan = plan.routed(&model.zeroed(Branches::Transformer)?, &given).map_err(unsupported)?;
                let looks = matches!(rule, Rule::Detail(_));
                if looks && plan.routing.as_ref().is_some_and(|routing| !Detail::takes(routing.window)) {
                    return Err(unsupported("theirs is not an even number of pixels up to 64".into()).into());
                }
                Ok(Way::Int8(plan))
            }
        },
        Err(refused @ PlanError::Unsupported { .. }) if options.branches == Branches::Both => {
            let network = model.float_instead()?.ok_or(refused)?;
            Ok(Way::Float(Cow::Owned(network)))
        }
        Err(error) => Err(error.into()),
    }
}

/// How windows get their classes; nothing where all are the same.
fn rule(model: &Model, options: &Options) -> Result<Option<Rule>, ModelError> {
    Ok(match (&options.classes, options.branches) {
        (Some(given), _) => Some(Rule::Given(Arc::clone(&given.windows))),
        (None, Branches::Auto) => {
            let least = if options.deadline.is_some() { 0 } else { options.effort };
            let efforts = (least..=options.effort).map(|effort| model.thresholds(effort));
            Some(Rule::Detail(efforts.collect::<Result<_, _>>()?))
        }
        (None, _) if options.still.is_some() => Some(Rule::Full),
        (None, _) => None,
    })
}

/// Are the options within what is supported?
fn check(options: &Options) -> Result<(), PrepareError> {
    let Size { width, height } = options.size;
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(PrepareError::Size(options.size));
    }
    if let Tile::Fixed(side) = options.tile
        && !(MIN_TILE..=MAX_SIDE).contains(&side)
    {
        return Err(PrepareError::Tile(side));
    }
    if options.yuv.is_some() && options.format != PixelFormat::Gray8 {
        return Err(PrepareError::Yuv(options.format));
    }
    if options.rgb.is_some() && options.yuv.is_none_or(YuvFormat::is_packed) {
        return Err(PrepareError::Rgb);
    }
    if options.effort > 100 {
        return Err(PrepareError::Effort(options.effort));
    }
    if options.deadline.is_some() && (options.branches != Branches::Auto || options.classes.is_some()) {
        return Err(PrepareError::Deadline);
    }
    if !(1..=MOST_THREADS).contains(&options.threads) {
        return Err(PrepareError::Threads(options.threads));
    }
    Ok(())
}

/// Does the system give what the plan takes? Of what is allocated after that, nobody asks again.
fn ask(report: &Report) -> Result<(), PrepareError> {
    if can_get(report.total_bytes) { Ok(()) } else { Err(PrepareError::Memory(report.total_bytes)) }
}

/// What a frame took.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Multiply-adds over those that it takes when every window gets all.
    pub macs_share: f64,
    /// What windows got, where they do not all get the same.
    pub windows: Option<Windows>,
    /// The least effort that a row of windows was given, with [`Branches::Auto`].
    pub effort: Option<u8>,
    /// Has it taken longer than [`Options::deadline`]?
    pub missed: bool,
}

/// What runs the network.
enum Path {
    Int8(Box<Int8>),
    Float(Box<FloatRunner>),
}

/// A prepared engine: rows or frames in, rows or frames out.
///
/// It can move to another thread, and belongs to one at a time.
pub struct Engine {
    options: Options,
    report: Report,
    path: Path,
    /// Output pixels for an input pixel, along one axis.
    scale: usize,
    colour: Colour,
    chroma: Option<Chroma>,
    /// Makes RGB of luma and chroma, where YUV frames come out as RGB.
    rgb: Option<ToRgb>,
    /// One output row.
    out: Vec<u8>,
    /// What stands still, where the engine looks for itself.
    watch: Option<Box<Watch>>,
    /// Has the last frame taken longer than it may?
    missed: bool,
    /// Source rows of this frame that were pushed.
    pushed: usize,
}

const _: () = {
    const fn can_move<T: Send>() {}
    can_move::<Engine>();
};

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).field("pushed", &self.pushed).finish_non_exhaustive()
    }
}

impl Engine {
    /// PREPARE: plans, allocates, validates.
    pub fn prepare(model: &Model, options: &Options) -> Result<Self, PrepareError> {
        check(options)?;
        let scale = model.metadata().scale;
        let (path, report, kept) = match way(model, options)? {
            Way::Int8(plan) => {
                let choice = prepare::choose(&plan, options)?;
                let (report, kept) = (prepare::report(&plan, options, model, &choice, None), choice.kept);
                ask(&report)?;
                let structure = match options.deadline {
                    Some(_) => {
                        let alone = Plan::new(model, Branches::Transformer, options.level)?;
                        alone.macs(choice.grid.frame) as f64 / plan.macs(choice.grid.frame) as f64
                    }
                    None => 1.0,
                };
                let int8 = Int8::new(plan, rule(model, options)?, structure, choice, options)?;
                (Path::Int8(Box::new(int8)), report, kept)
            }
            Way::Float(network) => {
                let (choice, _) = float::choose(&network, options)?;
                let report = float::report(&network, options, model, &choice, None);
                ask(&report)?;
                let kept = choice.kept_rows(&network, options);
                (Path::Float(Box::new(FloatRunner::new(&network, choice, options)?)), report, kept)
            }
        };
        let Size { width, height } = options.size;
        let colour = Colour::new(options.format, width, height, scale, kept, options.level)
            .with_blue_first(options.has_blue_first());
        let chroma = options.chroma(scale).map(|(planes, [from, to])| Chroma::new(planes, &from, &to, options.level));
        let rgb = options.rgb.zip(options.yuv).map(|((matrix, range), format)| {
            let (_, channels) = format.chroma_planes();
            ToRgb::new(matrix, range, options.blue_first, channels, scale * width)
        });
        let out = vec![0; scale * width * options.format.channels()];
        let options = options.clone();
        let mut engine =
            Self { options, report, path, scale, colour, chroma, rgb, out, watch: None, missed: false, pushed: 0 };
        engine.watch = engine.options.still.filter(|_| !engine.options.told).map(|still| {
            let (window, reach) = engine.windows();
            Box::new(Watch::new(still, engine.options.size, &engine.options.shapes(), window, reach))
        });
        engine.reset();
        Ok(engine)
    }

    /// Size of the input frame.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn input_size(&self) -> Size {
        self.options.size
    }

    /// Size of the output frame.
    pub fn output_size(&self) -> Size {
        self.options.size.scaled(self.scale)
    }

    /// The kernels in use.
    pub fn level(&self) -> Level {
        self.options.level
    }

    /// How windows that stand still are left as they are.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn still(&self) -> Option<Still> {
        self.options.still
    }

    /// The tile and memory plan.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Takes the time of each Step from now on; reads the clock twice for each.
    pub fn start_profile(&mut self) {
        if let Path::Int8(int8) = &mut self.path {
            int8.runner_mut().profile();
        }
    }

    /// Time that all threads together spent in each Step of [`Report::steps`] since [`Engine::start_profile`], without
    /// waits for each other; empty without it.
    pub fn profile(&self) -> impl Iterator<Item = Duration> + '_ {
        let int8 = match &self.path {
            Path::Int8(int8) => Some(int8),
            Path::Float(_) => None,
        };
        int8.into_iter().flat_map(|int8| int8.runner().times())
    }

    /// Multiply-adds of each Step since [`Engine::start_profile`], where windows do not all get the same; else empty.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn profiled_macs(&self) -> impl Iterator<Item = u64> + '_ {
        let int8 = match &self.path {
            Path::Int8(int8) => Some(int8),
            Path::Float(_) => None,
        };
        int8.into_iter().flat_map(|int8| int8.runner().macs())
    }

    /// Multiply-adds of the last frame over those that it takes when every window gets all.
    pub fn macs_share(&self) -> f64 {
        match &self.path {
            Path::Int8(int8) => int8.macs_share(),
            Path::Float(_) => 1.0,
        }
    }

    /// What the last whole frame took.
    pub fn work(&self) -> Work {
        let macs_share = self.macs_share();
        let Path::Int8(int8) = &self.path else { return Work { macs_share, ..Work::default() } };
        let Some(router) = int8.router() else { return Work { macs_share, ..Work::default() } };
        let (windows, less) = router.tally();
        let effort = (self.options.branches == Branches::Auto).then(|| self.options.effort - less as u8);
        Work { macs_share, windows: Some(windows), effort, missed: self.missed }
    }

    /// Classes of the windows of the last frame, row by row, with the windows of a row; none is one that was kept. Nothing
    /// where all get the same.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn classes(&self) -> Option<(usize, impl Iterator<Item = Option<Class>> + '_)> {
        let Path::Int8(int8) = &self.path else { return None };
        int8.router().map(|router| (router.columns(), router.shown()))
    }

    /// A frame begins whose deadline counts from now.
    pub(crate) fn begin_frame(&mut self) {
        let alone = self.pace().map(|pace| {
            pace.begin();
            pace.is_alone()
        });
        if let (Some(alone), Path::Int8(int8)) = (alone, &self.path) {
            int8.runner().rest_helpers(alone);
        }
    }

    /// The frame has ended.
    pub(crate) fn end_frame(&mut self) {
        let share = self.macs_share();
        if let Some(pace) = self.pace() {
            pace.end(share);
            self.missed = self.pace().is_some_and(|pace| pace.has_missed());
        }
    }

    fn pace(&mut self) -> Option<&mut pace::Pace> {
        match &mut self.path {
            Path::Int8(int8) => int8.router_mut()?.pace_mut(),
            Path::Float(_) => None,
        }
    }

    /// Looks at a frame for what stands still, and marks it. Is anything made anew? Else nothing need be pushed. Output rows
    /// are given for those rows of windows alone in which one is made, and of these what lies in one is of use.
    pub(crate) fn look(&mut self, watch: &mut Watch, planes: &[Plane<'_>], frames: usize) -> bool {
        let any = match &self.path {
            Path::Int8(int8) => match int8.router() {
                Some(router) => watch.look(planes, frames, router.owed(), router.spare()),
                None => watch.look(planes, frames, &[], 0),
            },
            Path::Float(_) => watch.look(planes, frames, &[], 0),
        };
        if let Path::Int8(int8) = &mut self.path {
            int8.mark(watch.fresh());
        }
        any
    }

    /// The side of a window, and how many around one that has changed are made anew; all where it is none.
    pub(crate) fn windows(&self) -> (usize, Option<usize>) {
        let Size { width, height } = self.options.size;
        match &self.path {
            Path::Int8(int8) => {
                int8.windows().map_or((width.max(height), None), |(window, reach)| (window, Some(reach)))
            }
            Path::Float(_) => (width.max(height), None),
        }
    }

    /// Forgets a frame that was pushed in part.
    pub fn reset(&mut self) {
        self.pushed = 0;
        self.colour.reset();
        match &mut self.path {
            Path::Int8(int8) => int8.reset(),
            Path::Float(float) => float.reset(),
        }
    }

    /// Gives the next row of the frame: `width * channels` bytes.
    ///
    /// `emit` gets each output row that is finished, top to bottom. With the last row of the input all rows of
    /// the output have been given, and the engine is ready for the next frame. After an error of `emit` the
    /// frame is forgotten; a row of the wrong length changes nothing.
    pub fn push<E>(&mut self, row: &[u8], emit: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), PushError<E>> {
        let needed = self.options.size.width * self.options.format.channels();
        let whole = self.options.still.is_some() || self.options.deadline.is_some();
        if self.chroma.is_some() || whole {
            return Err(PushError::WholeFrames);
        }
        if row.len() != needed {
            return Err(PushError::RowLength { given: row.len(), needed });
        }
        let mut emit = emit;
        self.push_row(row, |_, row| emit(row))
    }

    /// [`Engine::push`] of a row that has the length of the frame's rows; output rows come with their numbers.
    pub(crate) fn push_row<E>(
        &mut self,
        row: &[u8],
        mut emit: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), PushError<E>> {
        let Self { colour, out, options, pushed, .. } = self;
        let height = options.size.height;
        colour.push(row);
        let row = Row { bytes: row, y: *pushed, height, colour, out };
        *pushed += 1;
        let done = match &mut self.path {
            Path::Int8(int8) => int8.push(row, &mut emit).map_err(PushError::Receiver),
            Path::Float(float) => float.push(row, options.format, &mut emit),
        };
        if self.pushed == height || done.is_err() {
            self.reset();
        }
        done
    }
}
