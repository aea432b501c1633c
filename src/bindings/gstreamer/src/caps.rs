//! Caps on one side of the element, from those on the other: sizes times the scale, all else as it is.

use bifocal::MAX_SIDE;
use gst::glib::{self, prelude::*};
use gst_video::VideoChromaSite;

/// From which pad to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What comes out, for what goes in.
    Up(i32),
    /// What may go in, for what comes out.
    Down(i32),
    /// There is no model yet: any size may become any other.
    Unknown,
}

impl Way {
    fn one(self, side: i32) -> Option<i32> {
        match self {
            Self::Up(scale) => side.checked_mul(scale),
            Self::Down(scale) => (side > 0 && side % scale == 0).then(|| side / scale),
            Self::Unknown => None,
        }
    }

    /// First, last and step of a range.
    fn range(self, first: i32, last: i32, step: i32) -> Option<(i32, i32, i32)> {
        let whole = |side: i32| side.unsigned_abs() as u64;
        let (first, last, step) = (whole(first.max(1)), whole(last.max(0)), whole(step));
        // Such ranges are the multiples of their step between the ends.
        let (first, last, step) = match self {
            Self::Up(scale) => {
                let scale = whole(scale);
                let most = whole(i32::MAX) / (scale * step) * step;
                (first.next_multiple_of(step) * scale, last.min(most) * scale, step * scale)
            }
            Self::Down(scale) => {
                let scale = whole(scale);
                let both = scale / gcd(scale, step) * step;
                (first.next_multiple_of(both) / scale, last / both * both / scale, both / scale)
            }
            Self::Unknown => return None,
        };
        let fits = first <= last;
        fits.then(|| Some((first.try_into().ok()?, last.try_into().ok()?, step.try_into().ok()?))).flatten()
    }

    /// A side, a range of them or a list of both.
    fn side(self, value: &glib::Value) -> Option<glib::SendValue> {
        if let Ok(side) = value.get::<i32>() {
            return self.one(side).map(|side| side.to_send_value());
        }
        if let Ok(range) = value.get::<gst::IntRange<i32>>() {
            let (first, last, step) = self.range(range.min(), range.max(), range.step())?;
            return Some(match first == last {
                true => first.to_send_value(),
                false => gst::IntRange::with_step(first, last, step).to_send_value(),
            });
        }
        let list = value.get::<gst::List>().ok()?;
        let sides: Vec<glib::SendValue> = list.iter().filter_map(|value| self.side(value)).collect();
        (!sides.is_empty()).then(|| gst::List::new(sides).to_send_value())
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The caps on the other side. Interlaced ones have none: rows of two moments are not neighbours.
pub fn transform(caps: &gst::CapsRef, way: Way) -> gst::Caps {
    let mut other = gst::Caps::new_empty();
    let to = other.make_mut();
    for (structure, features) in caps.iter_with_features() {
        if let Some(structure) = structure_beyond(structure, way) {
            to.append_structure_full(structure, Some(features.to_owned()));
        }
    }
    // Frames that do not say how their colours are meant are taken to mean what is usual for their size, and the size
    // changes here.
    if matches!(way, Way::Up(_)) && caps.is_fixed() {
        tell_colours(caps, to);
    }
    other
}

fn structure_beyond(structure: &gst::StructureRef, way: Way) -> Option<gst::Structure> {
    let mut structure = structure.to_owned();
    for side in ["width", "height"] {
        let Ok(value) = structure.value(side) else { continue };
        let value = match way {
            Way::Unknown => gst::IntRange::new(1, i32::MAX).to_send_value(),
            _ => way.side(value)?,
        };
        structure.set_value(side, value);
    }
    if let Ok(mode) = structure.value("interlace-mode") {
        let progressive = "progressive".to_send_value();
        let may = mode.get::<&str>().is_ok_and(|mode| mode == "progressive");
        let may_too = || {
            mode.get::<gst::List>()
                .is_ok_and(|modes| modes.iter().any(|mode| mode.get::<&str>().is_ok_and(|mode| mode == "progressive")))
        };
        if !may && !may_too() {
            return None;
        }
        structure.set_value("interlace-mode", progressive);
    }
    Some(structure)
}

fn tell_colours(caps: &gst::CapsRef, to: &mut gst::CapsRef) {
    let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return };
    let colours = info.colorimetry().to_string();
    // GStreamer 1.14 has no name for the others.
    let sites = [(VideoChromaSite::MPEG2, "mpeg2"), (VideoChromaSite::JPEG, "jpeg"), (VideoChromaSite::DV, "dv")];
    let site = sites.iter().find(|(site, _)| *site == info.chroma_site()).filter(|_| info.format_info().is_yuv());
    for structure in to.iter_mut() {
        if !structure.has_field("colorimetry") && !colours.is_empty() {
            structure.set("colorimetry", colours.as_str());
        }
        if let (false, Some((_, name))) = (structure.has_field("chroma-site"), site) {
            structure.set("chroma-site", name);
        }
    }
}

/// The largest side that may go in.
pub const MOST: i32 = MAX_SIDE as i32;

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(caps: &str, way: Way) -> String {
        gst::init().unwrap();
        transform(&caps.parse::<gst::Caps>().unwrap(), way).to_string()
    }

    #[test]
    fn sides_ranges_and_lists_go_both_ways() {
        let up = "video/x-raw, width=(int)640, height=(int)[ 2, 200, 2 ], framerate=(fraction)30/1";
        assert_eq!(turned("video/x-raw, width=320, height=[1, 100], framerate=30/1", Way::Up(2)), up);
        assert_eq!(turned("video/x-raw, width=640, height=[1, 100]", Way::Down(3)), "EMPTY", "640 is no multiple of 3");
        let down = "video/x-raw, width=(int){ 100, [ 1, 3 ] }, height=(int)[ 1, 33 ]";
        assert_eq!(turned("video/x-raw, width={300, 301, [1, 11]}, height=[1, 100]", Way::Down(3)), down);
        assert_eq!(
            turned("video/x-raw, width=[4, 100, 4], height=[6, 24, 6]", Way::Down(2)),
            "video/x-raw, width=(int)[ 2, 50, 2 ], height=(int)[ 3, 12, 3 ]"
        );
        assert_eq!(
            turned("video/x-raw, width=[4, 5], height=[1, 1000]", Way::Down(4)),
            "video/x-raw, width=(int)1, height=(int)[ 1, 250 ]"
        );
        assert_eq!(
            turned("video/x-raw, width=[1, max], height=7", Way::Up(4)),
            "video/x-raw, width=(int)[ 4, 2147483644, 4 ], height=(int)28"
        );
        assert_eq!(turned("video/x-raw", Way::Up(4)), "video/x-raw");
    }

    #[test]
    fn what_is_up_comes_down_again() {
        gst::init().unwrap();
        for caps in ["video/x-raw, width=[1, 9], height={3, [4, 8, 2]}", "video/x-raw, width=7, height=[1, 65536]"] {
            let caps: gst::Caps = caps.parse().unwrap();
            for scale in 1..=8 {
                let there = transform(&caps, Way::Up(scale));
                assert_eq!(transform(&there, Way::Down(scale)).to_string(), caps.to_string(), "{there}");
            }
        }
    }

    #[test]
    fn interlaced_frames_are_refused() {
        let mode = |text: &str| turned(&format!("video/x-raw, width=2, height=2, interlace-mode={text}"), Way::Up(2));
        assert_eq!(mode("interleaved"), "EMPTY");
        assert!(mode("{progressive, mixed}").contains("(string)progressive"));
    }

    /// A small frame without colorimetry is BT.601, and would be taken for BT.709 once it is large.
    #[test]
    fn colours_are_told_where_the_size_would_change_their_meaning() {
        let large = turned("video/x-raw, format=NV12, width=640, height=360, framerate=25/1", Way::Up(2));
        assert!(large.contains("colorimetry=(string)bt601, chroma-site=(string)jpeg"), "{large}");
        let given =
            "video/x-raw, format=NV12, width=640, height=360, framerate=25/1, colorimetry=bt709, chroma-site=mpeg2";
        let large = turned(given, Way::Up(2));
        assert!(large.contains("bt709") && large.contains("mpeg2") && !large.contains("601"), "{large}");
        assert!(!turned("video/x-raw, format=GRAY8, width=64, height=36", Way::Up(2)).contains("chroma-site"));
    }
}
