//! Why a processor is slower than it could be, from whatever the board tells.

use std::fmt;

use serde::{Serialize, Serializer};

/// A set of causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(u8);

impl Causes {
    /// The supply is too low.
    pub const UNDER_VOLTAGE: Self = Self(1);
    /// The clock is capped.
    pub const FREQUENCY_CAPPED: Self = Self(2);
    /// The processor is slowed down because of heat or supply.
    pub const THROTTLED: Self = Self(4);
    /// The soft temperature limit is reached (Raspberry Pi 3B+).
    pub const SOFT_LIMIT: Self = Self(8);
    /// The board drew too much current (Jetson).
    pub const OVER_CURRENT: Self = Self(16);

    const NAMES: [(Self, &str); 5] = [
        (Self::UNDER_VOLTAGE, "under-voltage"),
        (Self::FREQUENCY_CAPPED, "frequency capped"),
        (Self::THROTTLED, "throttled"),
        (Self::SOFT_LIMIT, "soft temperature limit"),
        (Self::OVER_CURRENT, "over-current"),
    ];

    /// Nothing?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Is all of `other` in it?
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in this one or in `other`.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(cause, _)| self.contains(*cause)).map(|(_, name)| name)
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        self.names().enumerate().try_for_each(|(i, name)| write!(f, "{}{name}", if i > 0 { ", " } else { "" }))
    }
}

impl Serialize for Causes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// What slows a board down, and what did since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Throttling {
    /// At this moment.
    pub now: Causes,
    /// At any moment since boot.
    pub since_boot: Causes,
}

impl Throttling {
    /// Everything that either tells.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { now: self.now.or(other.now), since_boot: self.since_boot.or(other.since_boot) }
    }

    /// Reads the word of the Raspberry Pi's firmware, as the kernel prints it (`50005`) or as `vcgencmd` does
    /// (`throttled=0x50005`). `None` for anything else.
    ///
    /// | bit | meaning | bit | meaning |
    /// | --- | --- | --- | --- |
    /// | 0 | under-voltage now | 16 | under-voltage has occurred since boot |
    /// | 1 | ARM frequency capped now | 17 | frequency capping has occurred |
    /// | 2 | throttled now | 18 | throttling has occurred |
    /// | 3 | soft temperature limit active | 19 | soft temperature limit has occurred |
    ///
    /// Source: Raspberry Pi documentation, *vcgencmd get_throttled*.
    pub fn of_firmware(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("throttled=").unwrap_or(text);
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        // Bits without a meaning are no word of the firmware.
        let word = u32::from_str_radix(digits, 16).ok().filter(|word| valid && word & !0x000f_000f == 0)?;
        Some(Self { now: Causes((word & 15) as u8), since_boot: Causes((word >> 16 & 15) as u8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_firmwares_word() {
        let of = |text| Throttling::of_firmware(text).unwrap();
        assert_eq!(of("0\n"), Throttling::default());
        assert_eq!(of("throttled=0x50005\n"), of("50005\n"));
        let both = Causes::UNDER_VOLTAGE.or(Causes::THROTTLED);
        assert_eq!(of("50005"), Throttling { now: both, since_boot: both });
        assert_eq!(of("80008").now, Causes::SOFT_LIMIT);
        assert_eq!(of("20000"), Throttling { now: Causes::default(), since_boot: Causes::FREQUENCY_CAPPED });
        for bad in ["", "0x", "zz", "+5", "-1", "ffffffff", "10", "123456789", "throttled="] {
            assert_eq!(Throttling::of_firmware(bad), None, "{bad}");
        }
    }

    #[test]
    fn says_all_causes() {
        assert_eq!(Causes(5).to_string(), "under-voltage, throttled");
        assert_eq!(serde_json::to_string(&Causes(18)).unwrap(), r#"["frequency capped","over-current"]"#);
        assert_eq!(Causes::default().to_string(), "nothing");
    }
}
