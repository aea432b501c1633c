//! Devices that leave and come back: one state machine for cameras, programs, streams and displays.
//!
//! A device is *up*, or it is *away* and tried again after pauses that grow. It counts as back only once it has worked
//! for [`SETTLED`]: one that dies again at once is still in the same outage, so pauses go on growing and the limit on
//! the outage goes on running.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use crate::io::error::ReadError;

/// How long a device must work before it counts as back.
const SETTLED: Duration = Duration::from_secs(1);

/// First and longest pause before a device is tried again; each is twice the one before.
#[derive(Clone, Copy, Debug)]
pub(in crate::io) struct Pauses {
    pub(in crate::io) first: Duration,
    pub(in crate::io) longest: Duration,
}

impl Pauses {
    /// For what takes long to start, or costs much to try.
    pub(in crate::io) const GROWING: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(3) };
}

/// From the loss of a device until it works again for good.
#[derive(Debug)]
struct Outage {
    since: Instant,
    /// When it is tried next.
    next: Instant,
    pause: Duration,
    /// Has it been said why it cannot be had?
    told: bool,
    /// When it worked again.
    back: Option<Instant>,
}

/// What is to be done about a device that is away.
#[derive(Debug, PartialEq)]
pub(in crate::io) enum Step {
    /// Nothing for so long.
    Wait(Duration),
    /// Open it.
    Try,
    /// It has been away for too long.
    GiveUp(Duration),
}

/// A device that may be away.
#[derive(Debug)]
pub(in crate::io) struct Reconnect<T> {
    name: String,
    pauses: Pauses,
    /// Longest outage; `None` waits for ever.
    limit: Option<Duration>,
    device: Option<T>,
    outage: Option<Outage>,
    reconnects: u64,
}

impl<T> Reconnect<T> {
    pub(in crate::io) fn new(name: &str, device: T, pauses: Pauses, limit: Option<Duration>) -> Self {
        Self { name: name.to_string(), pauses, limit, device: Some(device), outage: None, reconnects: 0 }
    }

    /// The device, while it is up.
    pub(in crate::io) fn device(&mut self) -> Option<&mut T> {
        self.device.as_mut()
    }

    /// Times that the device came back.
    pub(in crate::io) fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// The device has failed: it is closed, and waited for.
    pub(in crate::io) fn lose(&mut self, now: Instant, why: impl Display) {
        self.device = None;
        let pauses = self.pauses;
        let told = self.outage.is_some();
        let first = Outage { since: now, next: now, pause: pauses.first, told: false, back: None };
        let outage = self.outage.get_or_insert(first);
        outage.back = None;
        outage.next = now + outage.pause;
        if told {
            log::info!("{}: {why}; trying on", self.name);
        } else {
            log::warn!("{}: {why}; waiting for it to return", self.name);
        }
    }

    /// What to do while the device is away.
    pub(in crate::io) fn step(&self, now: Instant) -> Step {
        let Some(Outage { since, next, .. }) = &self.outage else { return Step::Try };
        let away = now.saturating_duration_since(*since);
        match self.limit {
            Some(limit) if away >= limit => Step::GiveUp(away),
            _ if now < *next => Step::Wait(*next - now),
            _ => Step::Try,
        }
    }

    /// The error of a source whose device has been away for too long.
    pub(in crate::io) fn given_up(&self, away: Duration) -> ReadError {
        let reason = match self.limit {
            Some(Duration::ZERO) => "it is gone".to_string(),
            _ => format!("it is gone, and did not return within {away:.1?}"),
        };
        ReadError::Io { file: self.name.clone(), source: io::Error::other(reason) }
    }

    /// What came of trying.
    pub(in crate::io) fn tried(&mut self, now: Instant, result: Result<T, impl Display>) {
        let longest = self.pauses.longest;
        if let Some(outage) = &mut self.outage {
            outage.pause = (outage.pause * 2).min(longest);
            outage.next = now + outage.pause;
        }
        match result {
            Ok(device) => self.device = Some(device),
            Err(reason) => {
                let told = self.outage.as_mut().is_none_or(|outage| std::mem::replace(&mut outage.told, true));
                let level = if told { log::Level::Debug } else { log::Level::Info };
                log::log!(level, "{}: {reason}; trying on", self.name);
            }
        }
    }

    /// The device does its work: a frame came, or was taken.
    pub(in crate::io) fn works(&mut self, now: Instant) {
        let Some(outage) = &mut self.outage else { return };
        let back = *outage.back.get_or_insert_with(|| {
            log::info!("{}: taken up again", self.name);
            self.reconnects += 1;
            now
        });
        if now.saturating_duration_since(back) >= SETTLED {
            self.outage = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const PAUSES: Pauses = Pauses { first: Duration::from_millis(100), longest: Duration::from_millis(350) };

    fn device(limit: Option<Duration>) -> Reconnect<&'static str> {
        Reconnect::new("x", "first", PAUSES, limit)
    }

    #[test]
    fn pauses_grow_until_it_is_back() {
        let (mut device, mut now) = (device(None), Instant::now());
        device.lose(now, "gone");
        assert!(device.device().is_none());
        for pause in [100, 200, 350, 350] {
            assert_eq!(device.step(now), Step::Wait(pause * MS));
            now += pause * MS;
            assert_eq!(device.step(now), Step::Try);
            device.tried(now, Err("not there"));
        }
        now += 350 * MS;
        device.tried(now, Ok::<_, &str>("second"));
        assert_eq!((device.device().copied(), device.reconnects()), (Some("second"), 0));
        device.works(now);
        device.works(now + SETTLED);
        assert_eq!(device.reconnects(), 1);
        device.lose(now + SETTLED, "gone again");
        assert_eq!(device.step(now + SETTLED), Step::Wait(100 * MS), "a new outage begins anew");
    }

    #[test]
    fn a_device_that_dies_at_once_is_given_up_in_time() {
        let begin = Instant::now();
        let (mut device, mut now) = (device(Some(2000 * MS)), begin);
        let mut tries = 0;
        loop {
            device.lose(now, "it ended");
            match device.step(now) {
                Step::Wait(pause) => now += pause,
                Step::GiveUp(away) => {
                    assert!(away >= 2000 * MS && away < 2500 * MS, "{away:?}");
                    break;
                }
                Step::Try => {}
            }
            if let Step::GiveUp(_) = device.step(now) {
                break;
            }
            device.tried(now, Ok::<_, &str>("again"));
            device.works(now);
            tries += 1;
        }
        assert!((4..10).contains(&tries), "{tries} tries");
        assert!(now - begin < 2500 * MS);
    }

    #[test]
    fn no_patience_at_all() {
        let (mut device, now) = (device(Some(Duration::ZERO)), Instant::now());
        device.lose(now, "gone");
        assert_eq!(device.step(now), Step::GiveUp(Duration::ZERO));
    }
}
