//! How many threads an engine gets.

use super::{MOST_THREADS, Options, PrepareError};

/// How many threads to prepare for, the caller's included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// So many.
    Fixed(usize),
    /// As many as there are processors, but no more than this; and fewer while the budget is too small for them, since every
    /// one takes memory.
    UpTo(usize),
}

/// As many as there are processors, and fewer while the budget is too small.
impl Default for Threads {
    fn default() -> Self {
        Self::UpTo(MOST_THREADS)
    }
}

impl Threads {
    /// The number that is tried first.
    pub fn most(self) -> usize {
        match self {
            Self::Fixed(threads) => threads,
            Self::UpTo(most) => {
                let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                processors.min(MOST_THREADS).min(most).max(1)
            }
        }
    }

    /// Calls `prepare`, which is for [`Engine::prepare`](super::Engine::prepare) or [`survey`](super::survey), with `options` for
    /// so many threads, and with half of them as long as the budget is too small and their number is not fixed. The options
    /// that served come back too.
    ///
    /// ```
    /// # use bifocal::{Budget, Engine, Model, Options, PixelFormat, Size, Threads};
    /// # let model = Model::open("models/ctnet-tiny-x2.onnx".as_ref())?;
    /// let options = Options::new(Size::new(40, 30), PixelFormat::Rgb8).with_budget(Budget::mib(4));
    /// let (options, engine) = Threads::default().prepare(&options, |options| Engine::prepare(&model, options))?;
    /// assert_eq!(engine.report().threads, options.threads);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What `prepare` says: of a budget that is too small even for one thread, the least that works for one.
    pub fn prepare<T>(
        self,
        options: &Options,
        prepare: impl Fn(&Options) -> Result<T, PrepareError>,
    ) -> Result<(Options, T), PrepareError> {
        let mut options = options.clone().with_threads(self.most());
        loop {
            match prepare(&options) {
                Err(PrepareError::Budget { .. }) if matches!(self, Self::UpTo(_)) && options.threads > 1 => {
                    options.threads /= 2;
                }
                done => return done.map(|done| (options, done)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::frame::PixelFormat;
    use crate::geom::Size;

    /// The numbers that are tried where `fits` is the most that fits the budget, and the one that served.
    fn tried(threads: Threads, fits: usize) -> (Vec<usize>, Option<usize>) {
        let tried = RefCell::new(vec![]);
        let done = threads.prepare(&Options::new(Size::new(8, 8), PixelFormat::Rgb8), |options| {
            tried.borrow_mut().push(options.threads);
            if options.threads > fits { Err(PrepareError::Budget { needed: 2, given: 1 }) } else { Ok(options.threads) }
        });
        let served = done.ok().map(|(options, threads)| {
            assert_eq!(options.threads, threads);
            threads
        });
        (tried.into_inner(), served)
    }

    #[test]
    fn threads_are_halved_while_the_budget_is_too_small() {
        let most = Threads::default().most();
        assert!((1..=MOST_THREADS).contains(&most));
        let halves: Vec<usize> = std::iter::successors(Some(most), |n| (*n > 1).then_some(n / 2)).collect();
        assert_eq!(tried(Threads::default(), 0), (halves.clone(), None));
        assert_eq!(tried(Threads::default(), 1), (halves, Some(1)));
        assert_eq!(tried(Threads::default(), MOST_THREADS), (vec![most], Some(most)));
        assert_eq!(tried(Threads::UpTo(1), 1), (vec![1], Some(1)));
        assert_eq!(Threads::UpTo(0).most(), 1);
    }

    #[test]
    fn a_number_that_was_asked_for_stays() {
        assert_eq!(tried(Threads::Fixed(5), 4), (vec![5], None));
        assert_eq!(tried(Threads::Fixed(5), 5), (vec![5], Some(5)));
        // Whether there may be so many is what PREPARE judges.
        assert_eq!(tried(Threads::Fixed(0), 5), (vec![0], Some(0)));
    }

    #[test]
    fn other_errors_end_it() {
        let tried = RefCell::new(0);
        let done = Threads::default().prepare(&Options::new(Size::new(8, 8), PixelFormat::Rgb8), |_| {
            *tried.borrow_mut() += 1;
            Err::<(), _>(PrepareError::Memory(1))
        });
        assert!(matches!(done, Err(PrepareError::Memory(1))) && tried.into_inner() == 1);
    }
}
