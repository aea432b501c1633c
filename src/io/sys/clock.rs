//! Time stamps of drivers, which count from the start of the machine.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A length of time for the kernel.
pub(in crate::io) fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos() as _ }
}

/// The moment that `stamp` of the monotonic clock means. A stamp of the future, or from long ago, is no such stamp.
pub(in crate::io) fn instant(stamp: Duration) -> Option<Instant> {
    let clock = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(clock.tv_sec.try_into().ok()?, clock.tv_nsec.try_into().ok()?);
    let age = now.checked_sub(stamp).filter(|age| *age < Duration::from_secs(60))?;
    Instant::now().checked_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_become_moments() {
        let clock = clock_gettime(ClockId::Monotonic);
        let now = Duration::new(clock.tv_sec as u64, clock.tv_nsec as u32);
        let then = instant(now - Duration::from_millis(20)).unwrap();
        assert!(then.elapsed() >= Duration::from_millis(20));
        assert!(then.elapsed() < Duration::from_secs(5));
        assert!(instant(now + Duration::from_secs(9)).is_none(), "the future");
    }
}
