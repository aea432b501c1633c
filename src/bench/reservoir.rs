//! Values of a run of any length in fixed memory.

/// Most values that are kept. Runs with no more have exact percentiles.
pub const KEPT: usize = 4096;

/// A fair sample of the values that were added (Vitter, *Random sampling with a reservoir*, algorithm R), and what
/// needs no sample: how many there were, their sum and their extremes. Allocates when made, and never again.
#[derive(Clone, Debug)]
pub struct Reservoir {
    kept: Vec<f64>,
    capacity: usize,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    random: u64,
}

impl Reservoir {
    /// Keeps at most `capacity` values, at least one.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self {
            kept: Vec::with_capacity(capacity),
            capacity,
            count: 0,
            sum: 0.0,
            min,
            max,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
        if self.kept.len() < self.capacity {
            self.kept.push(value);
            return;
        }
        // xorshift64*: the same choice in every run.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let at = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) % self.count;
        if let Some(slot) = usize::try_from(at).ok().and_then(|at| self.kept.get_mut(at)) {
            *slot = value;
        }
    }

    /// The values that were kept, in no order.
    pub fn kept(&self) -> &[f64] {
        &self.kept
    }

    /// Values that were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Average of all; 0 without any.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// Smallest and largest of all, if there are any.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        (self.count > 0).then_some((self.min, self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_fair_sample() {
        let mut reservoir = Reservoir::new(1000);
        (0..100_000).for_each(|i| reservoir.add(f64::from(i)));
        assert_eq!((reservoir.count(), reservoir.extremes()), (100_000, Some((0.0, 99_999.0))));
        assert_eq!((reservoir.mean(), reservoir.kept().len()), (49_999.5, 1000));
        // Each tenth of the run has its tenth of the sample: 100, give or take six standard deviations.
        for tenth in 0..10 {
            let within = |v: &&f64| (f64::from(tenth * 10_000)..f64::from((tenth + 1) * 10_000)).contains(*v);
            let share = reservoir.kept().iter().filter(within).count();
            assert!((40..=160).contains(&share), "{share} of tenth {tenth}");
        }
    }

    #[test]
    fn keeps_all_while_there_is_room() {
        let mut reservoir = Reservoir::new(4);
        assert_eq!((reservoir.extremes(), reservoir.mean()), (None, 0.0));
        [3.0, 1.0, 2.0].into_iter().for_each(|v| reservoir.add(v));
        assert_eq!(reservoir.kept(), [3.0, 1.0, 2.0]);
    }
}
