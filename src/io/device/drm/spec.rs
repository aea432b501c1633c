//! What is asked of a display.

use crate::geom::Size;

/// A size and refresh rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) struct ModeSpec {
    pub(in crate::io) size: Size,
    pub(in crate::io) refresh: Option<u32>,
}

impl std::str::FromStr for ModeSpec {
    type Err = String;

    /// `1280x720` or `1280x720@60`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (size, refresh) = text.split_once('@').map_or((text, None), |(size, rate)| (size, Some(rate)));
        let wrong = || "write 1280x720 or 1280x720@60".to_string();
        let (width, height) = size.split_once('x').ok_or_else(wrong)?;
        let side = |text: &str| text.parse::<u16>().ok().filter(|side| *side > 0).map(usize::from).ok_or_else(wrong);
        let refresh = refresh.map(|rate| rate.parse::<u32>().map_err(|_| wrong())).transpose()?;
        Ok(Self { size: Size::new(side(width)?, side(height)?), refresh })
    }
}

impl std::fmt::Display for ModeSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.size)?;
        self.refresh.map_or(Ok(()), |refresh| write!(f, "@{refresh}"))
    }
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Depth {
    /// 32 bits, XR24.
    True,
    /// 16 bits, RG16.
    High,
}

/// What is asked of a display.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::io) struct DisplaySpec {
    /// As `card0`; `None` takes the first with a display.
    pub(in crate::io) card: Option<String>,
    /// As `HDMI-A-1`; `None` takes the first that is connected.
    pub(in crate::io) connector: Option<String>,
    /// `None` takes what the display prefers.
    pub(in crate::io) mode: Option<ModeSpec>,
    /// `None` takes 32 bits, or 16 where the card has no other.
    pub(in crate::io) depth: Option<Depth>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_in_words() {
        let spec = |refresh| ModeSpec { size: Size::new(1280, 720), refresh };
        assert_eq!("1280x720".parse(), Ok(spec(None)));
        assert_eq!("1280x720@60".parse(), Ok(spec(Some(60))));
        assert_eq!(spec(Some(60)).to_string(), "1280x720@60");
        for wrong in ["", "1280", "0x720", "1280x", "1280x720@", "1280x720@x", "-1x2", "70000x2"] {
            assert!(wrong.parse::<ModeSpec>().is_err(), "{wrong}");
        }
    }
}
