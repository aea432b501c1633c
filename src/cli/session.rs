//! A model and the engine prepared for the pictures at hand.

use std::path::Path;
use std::time::Duration;

use super::args::EngineArgs;
use super::catalogue::load;
use super::failure::{Failure, is_budget};
use crate::board::Machine;
use crate::engine::{self, DEFAULT_EFFORT, Engine, Options, PrepareError, Report, Still, Threads, Tolerance};
use crate::frame::{FrameFormat, PixelFormat};
use crate::geom::Size;
use crate::io::{Clip, Rate};
use crate::kernels::Level;
use crate::live;
use crate::memory::Budget;
use crate::model::{Branches, Model};

/// A model, the machine, how to run it, and the engine of the last frame size.
pub(super) struct Session<'a> {
    pub(super) model: Model,
    pub(super) machine: Machine,
    args: &'a EngineArgs,
    prepared: Option<Prepared>,
    /// Bytes of a picture that is held whole while the engine runs.
    beside: usize,
}

/// So much of a budget is the engine's, whatever is held beside it: with less, large pictures are computed in parts that
/// overlap.
const ENGINE_AT_LEAST: Budget = Budget::mib(64);

/// Every window is made anew within this time.
const ANEW: Duration = Duration::from_secs(2);

/// Leaves windows of a clip as they are that stand still within the tolerance.
pub(super) fn still(tolerance: Tolerance, clip: &Clip) -> Still {
    // Of a source without a rate, as many frames as usual.
    let rate = if clip.rate.frames > 0 { clip.rate } else { Rate::USUAL };
    Still { tolerance, refresh: rate.frames_in(ANEW).max(1) }
}

/// Frames that a run upscales, and what it takes beside the engine.
pub(super) struct Frames<'a> {
    pub(super) options: &'a live::Options,
    pub(super) from: &'a FrameFormat,
    pub(super) to: &'a FrameFormat,
    /// Bytes of the sink.
    pub(super) kept: usize,
    pub(super) deadline: Option<Duration>,
}

impl Frames<'_> {
    /// Bytes beside the engine.
    pub(super) fn beside(&self, still: Option<Still>) -> usize {
        let options = live::Options { still, ..*self.options };
        live::bytes_beside_engine(&options, self.from, self.to).saturating_add(self.kept)
    }
}

struct Prepared {
    size: Size,
    format: PixelFormat,
    options: Options,
    engine: Engine,
}

impl<'a> Session<'a> {
    /// Recognises the board, loads the model and checks the scale that was asked for.
    pub(super) fn open(args: &'a EngineArgs) -> Result<Self, Failure> {
        if args.effort.is_some() && args.branches != Some(Branches::Auto) {
            return Err(Failure::usage("--effort is for --branches auto"));
        }
        let machine = args.board.machine()?;
        log::info!("board {} ({})", machine.board.name, machine.model.as_deref().unwrap_or(&machine.board.title));
        let named = args.model.model.as_deref();
        let model = match (named, args.scale) {
            (None, Some(scale)) => match Model::of_scale(scale)? {
                Some(model) => model,
                None => {
                    return Err(Failure::usage(format!("no built-in model has scale {scale}; choose another with -m")));
                }
            },
            _ => load(named.or(machine.board.defaults.model.as_deref().map(Path::new)))?,
        };
        let mut model = model;
        let (range, order) = (args.model_range, args.model_order);
        model
            .read_as(range, order, args.model_scale.map(usize::from))
            .map_err(|reason| Failure::usage(format!("model {}: {reason}", model.metadata().name)))?;
        if let Some(float) = model.float() {
            let facts = float.facts();
            let order = facts.order.map_or(String::new(), |order| format!(" {}", order.name()));
            let (c, range, halo) = (facts.channels, facts.range.name(), facts.halo);
            log::info!("the model runs in floats ({}): {c} channels{order} of {range}, halo {halo}", model.why_float());
        }
        let (name, scale) = (&model.metadata().name, model.metadata().scale);
        match args.scale {
            Some(wanted) if wanted != scale => {
                Err(Failure::usage(format!("the model {name} has scale {scale}, not {wanted}; choose another with -m")))
            }
            _ => Ok(Self { model, machine, args, prepared: None, beside: 0 }),
        }
    }

    /// Factor on both sides.
    pub(super) fn scale(&self) -> usize {
        self.model.metadata().scale
    }

    /// Of engines prepared from now on, the budget is for a picture of so many bytes too; see [`ENGINE_AT_LEAST`].
    pub(super) fn share_budget(&mut self, bytes: usize) {
        self.beside = bytes;
    }

    /// The engine for such frames; prepared anew only if the last was different.
    pub(super) fn engine(&mut self, size: Size, format: PixelFormat) -> Result<&mut Engine, Failure> {
        let fits = self.prepared.as_ref().is_some_and(|p| p.size == size && p.format == format);
        if !fits {
            // The budget is for one engine: the old one goes first.
            self.prepared = None;
        }
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => {
                let model = &self.model;
                let (options, engine) = self.with_threads(size, format, |options| Engine::prepare(model, options))?;
                Prepared { size, format, options, engine }
            }
        };
        Ok(&mut self.prepared.insert(prepared).engine)
    }

    /// The engine of a run. Where the budget is too small for windows that stand still, and nobody asked for them
    /// (`dispensable`), it goes without.
    pub(super) fn engine_for(&self, run: &Frames<'_>, dispensable: bool) -> Result<(Options, Engine), Failure> {
        self.with_threads(run.from.size, live::engine_format(run.from), |o| {
            let prepare = |still| {
                let o = Options { still, deadline: run.deadline, ..o.clone() };
                live::within(&o, run.beside(still), |o| Engine::prepare(&self.model, o))
            };
            match prepare(run.options.still) {
                Err(error) if is_budget(&error) && dispensable && run.options.still.is_some() => prepare(None),
                done => done,
            }
        })
    }

    /// Options of the prepared engine; defaults before there is one.
    pub(super) fn options(&self, size: Size, format: PixelFormat) -> Options {
        self.prepared.as_ref().map_or_else(|| self.options_for(size, format), |p| p.options.clone())
    }

    /// The plan for such frames.
    pub(super) fn survey(&self, size: Size, format: PixelFormat) -> Result<Report, Failure> {
        Ok(self.with_threads(size, format, |options| engine::survey(&self.model, options))?.1)
    }

    /// Prepares with the threads asked for, else with those that suit the board. Where a picture held beside leaves too little,
    /// the engine has the whole budget.
    fn with_threads<T>(
        &self,
        size: Size,
        format: PixelFormat,
        prepare: impl Fn(&Options) -> Result<T, PrepareError>,
    ) -> Result<(Options, T), Failure> {
        let of_board = || self.machine.board.defaults.threads.map_or_else(Threads::default, Threads::UpTo);
        let threads = self.args.threads.map_or_else(of_board, |threads| Threads::Fixed(threads.into()));
        let options = self.options_for(size, format);
        if self.beside > 0 {
            let Budget(all) = options.budget;
            let rest = Budget(all.saturating_sub(self.beside).max(all.min(ENGINE_AT_LEAST.0)));
            match Threads::Fixed(threads.most()).prepare(&options.clone().with_budget(rest), &prepare) {
                Err(error) if is_budget(&error) => {}
                done => return Ok(done?),
            }
        }
        Ok(threads.prepare(&options, prepare)?)
    }

    fn options_for(&self, size: Size, format: PixelFormat) -> Options {
        let mut options = Options::new(size, format);
        options.budget = self.budget();
        options.tile = self.args.tile;
        options.branches = self.args.branches.unwrap_or(Branches::Both);
        options.effort = self.args.effort.unwrap_or(DEFAULT_EFFORT);
        let of_board = || Level::named(self.machine.board.processor.level.as_deref()?).ok();
        if let Some(level) = self.args.level.or_else(of_board) {
            options.level = level;
        }
        options
    }

    /// Memory that was allowed, or else what suits the board.
    pub(super) fn budget(&self) -> Budget {
        self.args.mem.or(self.machine.board.defaults.memory).unwrap_or_default()
    }
}
