//! What each Step is needed for when windows of the frame have classes (see [`Class`]), or stand still.
//!
//! The plan is walked backwards. A tensor is needed near windows that are made anew, near those of them that are not
//! `plain`, or near `full` ones; how near is counted in input pixels, and every Step adds its reach.

use super::Plan;
use super::step::{Kind, Step};
use crate::model::Ratio;

/// What calling a kernel costs, in multiply-adds.
const CALL: usize = 32 << 10;

/// What a window of the grid gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// Both branches.
    #[default]
    Full,
    /// The Transformer branch alone: the tensors that the file names for it are zero.
    Structure,
    /// The anchor alone: what the network adds to it is zero.
    Plain,
}

/// Where a tensor is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// So many pixels around windows that are `full`, and made anew or near one that is.
    pub full: Option<usize>,
    /// So many pixels around windows that are made anew and not `plain`.
    pub shown: Option<usize>,
    /// So many pixels around windows that are made anew.
    pub fresh: Option<usize>,
}

impl Need {
    fn map(self, reach: impl Fn(usize) -> usize) -> Self {
        Self { full: self.full.map(&reach), shown: self.shown.map(&reach), fresh: self.fresh.map(&reach) }
    }

    fn join(&mut self, other: Self) {
        self.full = self.full.max(other.full);
        self.shown = self.shown.max(other.shown);
        self.fresh = self.fresh.max(other.fresh);
    }

    /// Pixels below a row whose classes tell whether the row is needed.
    fn ahead(self) -> usize {
        self.full.max(self.shown).unwrap_or(0)
    }
}

/// Which windows a Step makes nothing but zeros in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// Those that are not `full`.
    UnlessFull,
    /// Those that are `plain`.
    InPlain,
}

/// What a Step is needed for.
#[derive(Clone, Copy, Debug)]
pub struct StepRoute {
    /// Where its operation is computed.
    pub made: Need,
    /// Where its tensor is needed; more than `made` if it is silent somewhere.
    pub wanted: Need,
    /// Where it is silent.
    pub silent: Option<Silent>,
    /// Ranges of columns, in input pixels, are multiples of this.
    pub granule: usize,
    /// Columns between two ranges that cost less than calling the kernel once more: they are computed, too.
    pub gap: usize,
}

/// The routes of a plan.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Of each Step.
    pub steps: Vec<StepRoute>,
    /// Rows below those that are made whose classes must be known; 0 where all are `full`.
    pub ahead: usize,
    /// Side of a window.
    pub window: usize,
    /// Windows around one that has changed that must be made anew.
    pub reach: usize,
    /// Windows around one that is made anew whose tensors may be needed for it: the branches must join there, too.
    pub near: usize,
}

/// Side of a window where the network has none.
const WINDOW: usize = 16;

impl Plan {
    /// Routes for windows that are all `full`, and some of them still.
    pub fn routed_whole(mut self) -> Self {
        self.routing = Some(self.routes(vec![None; self.steps.len()], &[]));
        self
    }

    /// Routes for windows in which the tensors `silent` may be zero, and those of `given` that serve only these: what one
    /// branch gives the other need not reach beyond the windows that get both. The error says why there are no routes.
    pub fn routed(mut self, silent: &[&str], given: &[&str]) -> Result<Self, String> {
        if self.channels > 1 || self.input_table.is_some() || self.output_table.is_some() {
            return Err("it does not see luma in the bytes of the picture".into());
        }
        let mut silences = vec![None; self.steps.len()];
        for name in silent {
            let step = self.steps.iter().position(|s| s.name == *name && matches!(s.kind, Kind::Conv(_)));
            silences[step.ok_or_else(|| format!("'{name}' is no convolution of the plan"))?] = Some(Silent::UnlessFull);
        }
        silences[self.residual().ok_or("it adds nothing to an anchor")?] = Some(Silent::InPlain);
        self.routing = Some(self.routes(silences, given));
        Ok(self)
    }

    fn routes(&self, silences: Vec<Option<Silent>>, given: &[&str]) -> Routing {
        let window = if self.grid >= WINDOW / 2 { self.grid } else { WINDOW.next_multiple_of(self.grid) };
        let mut wanted = vec![Need::default(); self.buffers.len()];
        wanted[self.output].fresh = Some(0);
        // Pixels from a window that is made anew, whatever its class.
        let mut distance = vec![0usize; self.buffers.len()];
        let (mut near, mut ahead) = (0usize, 0usize);
        let mut routes = Vec::with_capacity(self.steps.len());
        for (step, silent) in self.steps.iter().zip(silences).rev() {
            let granule = self.granule(step);
            let own = wanted[step.write];
            let only_full = own.fresh.is_none() && own.shown.is_none();
            let served = only_full && matches!(step.kind, Kind::Conv(_)) && given.contains(&step.name.as_str());
            let silent = if served { Some(Silent::UnlessFull) } else { silent };
            let made = match silent {
                None => own,
                Some(Silent::UnlessFull) => Need { full: Some(0), ..Need::default() },
                Some(Silent::InPlain) => Need { shown: Some(0), ..Need::default() },
            };
            let made = made.map(|reach| reach.next_multiple_of(granule));
            let far = distance[step.write].next_multiple_of(granule);
            if silent == Some(Silent::UnlessFull) {
                near = near.max(far);
            }
            for read in &step.reads {
                wanted[read.buffer].join(made.map(|reach| self.reach(step, read, reach)));
                distance[read.buffer] = distance[read.buffer].max(self.reach(step, read, far));
            }
            // Where it is silent, what it is added to passes.
            if let (Some(_), Kind::Conv(conv), Some(skip)) = (silent, &step.kind, step.reads.last())
                && conv.residual.is_some()
            {
                wanted[skip.buffer].join(own);
            }
            ahead = ahead.max(made.ahead().max(own.ahead()));
            routes.push(StepRoute { made, wanted: own, silent, granule, gap: CALL / self.column_cost(step) });
        }
        routes.reverse();
        let windows = |pixels: usize| pixels.div_ceil(window);
        Routing { steps: routes, ahead, window, reach: windows(self.halo()).max(1), near: windows(near) }
    }

    /// The convolution whose output is added to the picture, at the end.
    fn residual(&self) -> Option<usize> {
        let mut at = self.writer[self.output]?;
        loop {
            let step = &self.steps[at];
            let anchored = step.reads.iter().any(|read| read.buffer == self.input);
            match &step.kind {
                Kind::Conv(conv) => return (anchored && conv.residual.is_some()).then_some(at),
                Kind::Add { .. } if anchored => {
                    let other = step.reads.iter().find(|read| read.buffer != self.input)?;
                    let mut made = self.writer[other.buffer]?;
                    if matches!(self.steps[made].kind, Kind::Gate(_)) {
                        made = self.writer[self.steps[made].reads[0].buffer]?;
                    }
                    return matches!(self.steps[made].kind, Kind::Conv(_)).then_some(made);
                }
                Kind::Shuffle(_) | Kind::Arrange(_) => at = self.writer[step.reads[0].buffer]?,
                _ => return None,
            }
        }
    }

    /// What an input pixel's column of a unit costs, in multiply-adds; a byte to requantise and write counts as 32.
    fn column_cost(&self, step: &Step) -> usize {
        let (buffer, macs) = (&self.buffers[step.write], step.mac_columns);
        let bytes = 32 * buffer.stride * step.unit_rows * buffer.columns.num / buffer.columns.den;
        (step.macs * macs.num / macs.den + bytes).max(1)
    }

    /// Input pixels that a pixel of each of the Step's tensors divides.
    fn granule(&self, step: &Step) -> usize {
        let buffers = step.reads.iter().map(|read| read.buffer).chain([step.write]).map(|b| &self.buffers[b]);
        let pixels = buffers.flat_map(|b| [b.rows.den, b.columns.den]).chain([step.mac_columns.den]);
        pixels.fold(1, |a, b| a / Ratio::gcd(a, b) * b)
    }
}
