//! Which devices there are, what they offer, and why some cannot be used.

use serde::Serialize;

/// Devices that were found; the order is that of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Survey {
    /// Devices that give frames.
    pub cameras: Vec<Camera>,
    /// Outputs of display cards, connected or not.
    pub displays: Vec<Display>,
    /// Buses that a panel may be on; a panel itself cannot be asked.
    pub panels: Vec<PanelBus>,
    /// Video devices that take frames.
    pub outputs: Vec<Output>,
    /// Devices that are there and cannot be used.
    pub unusable: Vec<Unusable>,
}

/// A camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Camera {
    /// What `live` calls it.
    pub uri: String,
    /// What it calls itself.
    pub name: String,
    /// What it offers.
    pub formats: Vec<CameraFormat>,
}

/// A format of a camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraFormat {
    /// Its four characters.
    pub format: String,
    /// Can `live` read it?
    pub supported: bool,
    /// Sizes, at most `MOST_SIZES`; none where the driver does not say.
    pub sizes: Vec<CameraSize>,
}

/// A size of a format, or a range of sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraSize {
    /// As `640x360`, or `16x16 to 1920x1080`.
    pub size: String,
    /// Most frames a second (of a range: at its largest), where the driver says.
    pub fps: Option<f64>,
}

/// An output of a display card.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Display {
    /// What `live` calls it.
    pub uri: String,
    /// Is a display connected?
    pub connected: bool,
    /// As `1280x720@60`; what the display prefers comes first.
    pub modes: Vec<String>,
}

/// A video device that takes frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// What `live` calls it.
    pub uri: String,
    /// What it calls itself.
    pub name: String,
}

/// A bus with a chip select.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PanelBus {
    /// What `live` calls it, without what only its owner knows: the controller and the lines.
    pub uri: String,
}

/// A device that cannot be used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unusable {
    /// Its URI.
    pub uri: String,
    /// Why not, and what to do.
    pub reason: String,
}

/// Most sizes of a format that are listed.
#[cfg_attr(not(all(target_os = "linux", feature = "v4l2")), allow(dead_code))]
const MOST_SIZES: usize = 64;

impl Survey {
    /// Looks at the devices of this machine. None is set to anything, but displays are asked what they are, which
    /// takes a moment.
    pub fn look() -> Self {
        let mut survey = Self::default();
        video::look(&mut survey);
        display::look(&mut survey);
        panel::look(&mut survey);
        survey
    }

    fn refuse(&mut self, uri: impl Into<String>, reason: impl Into<String>) {
        self.unusable.push(Unusable { uri: uri.into(), reason: reason.into() });
    }
}

#[cfg(all(target_os = "linux", feature = "v4l2"))]
mod video {
    use std::path::Path;

    use super::super::v4l2::fourcc::{CAMERA, format_of, why_not_open};
    use super::{Camera, CameraFormat, CameraSize, MOST_SIZES, Output, Survey};
    use crate::io::sys::v4l2::{Device, Direction, FourCc, Sizes};

    pub(in crate::io) fn look(survey: &mut Survey) {
        let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        let number = |name: &str| name.strip_prefix("video")?.parse::<u32>().ok();
        let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
        numbers.sort_unstable();
        for number in numbers {
            let path = format!("/dev/video{number}");
            let uri = format!("v4l2://{path}");
            match Device::open(Path::new(&path)) {
                Ok(device) => add(survey, uri, &device),
                Err(error) => survey.refuse(uri, why_not_open(Path::new(&path), error, CAMERA).to_string()),
            }
        }
    }

    fn add(survey: &mut Survey, uri: String, device: &Device) {
        let name = device.name().to_string();
        if device.captures() {
            let formats = device.formats(Direction::Capture).into_iter();
            let formats = formats.map(|(code, _)| describe(device, code)).collect();
            survey.cameras.push(Camera { uri, name, formats });
        } else if device.takes_frames() {
            survey.outputs.push(Output { uri, name });
        } else if device.captures_planes() {
            survey.refuse(uri, format!("{name}: gives each plane in a buffer of its own, which is not supported"));
        } else {
            survey.refuse(uri, format!("{name}: neither gives frames nor takes them"));
        }
    }

    fn describe(device: &Device, code: FourCc) -> CameraFormat {
        let sizes = device.sizes(code).into_iter().take(MOST_SIZES).map(|size| match size {
            Sizes::One { width, height } => {
                CameraSize { size: format!("{width}x{height}"), fps: device.fastest(code, width, height) }
            }
            Sizes::Between { width, height } => CameraSize {
                size: format!("{}x{} to {}x{}", width.0, height.0, width.1, height.1),
                fps: device.fastest(code, width.1, height.1),
            },
        });
        CameraFormat { format: code.to_string(), supported: format_of(code).is_some(), sizes: sizes.collect() }
    }
}

#[cfg(all(target_os = "linux", feature = "drm"))]
mod display {
    use super::super::drm::screen::{Card, cards, why_not_open};
    use super::{Display, Survey};

    pub(in crate::io) fn look(survey: &mut Survey) {
        for name in cards() {
            let uri = format!("drm://{name}");
            let outputs = Card::open(&name).and_then(|card| card.outputs()).map_err(|e| why_not_open(&name, e));
            match outputs {
                Ok(outputs) if outputs.is_empty() => survey.refuse(uri, "it has no outputs"),
                Ok(outputs) => survey.displays.extend(outputs.into_iter().map(|mut output| {
                    output.modes.sort_by_key(|(_, preferred)| !preferred);
                    let mut modes: Vec<String> = output.modes.iter().map(|(mode, _)| mode.to_string()).collect();
                    // Timings that differ in less than a frame a second have one name.
                    modes.dedup();
                    Display { uri: format!("{uri}/{}", output.name), connected: output.connected, modes }
                })),
                Err(reason) => survey.refuse(uri, reason.to_string()),
            }
        }
    }
}

#[cfg(all(target_os = "linux", feature = "spi"))]
mod panel {
    use std::path::Path;

    use super::{PanelBus, Survey};

    pub(in crate::io) fn look(survey: &mut Survey) {
        let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        let numbers = |name: &str| {
            let (bus, select) = name.strip_prefix("spidev")?.split_once('.')?;
            Some((bus.parse::<u32>().ok()?, select.parse::<u32>().ok()?))
        };
        let mut found: Vec<_> = entries.filter_map(|entry| numbers(entry.file_name().to_str()?)).collect();
        found.sort_unstable();
        for (bus, select) in found {
            let uri = format!("spi://{bus}.{select}");
            match super::super::spi::linux::look(Path::new(&format!("/dev/spidev{bus}.{select}"))) {
                Ok(()) => survey.panels.push(PanelBus { uri }),
                Err(reason) => survey.refuse(uri, reason.to_string()),
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", feature = "v4l2")))]
mod video {
    pub(in crate::io) fn look(survey: &mut super::Survey) {
        survey.refuse("v4l2://", super::super::factory::without("cameras", "v4l2"));
    }
}

#[cfg(not(all(target_os = "linux", feature = "drm")))]
mod display {
    pub(in crate::io) fn look(survey: &mut super::Survey) {
        survey.refuse("drm://", super::super::factory::without("displays", "drm"));
    }
}

#[cfg(not(all(target_os = "linux", feature = "spi")))]
mod panel {
    pub(in crate::io) fn look(survey: &mut super::Survey) {
        survey.refuse("spi://", super::super::factory::without("panels", "spi"));
    }
}
