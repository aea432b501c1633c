//! `bifocal live --list`.

use std::fmt::Write;

use super::args::Format;
use super::failure::Failure;
use super::print;
use crate::io::{CameraFormat, Survey};

pub(super) fn run(format: Format) -> Result<(), Failure> {
    let survey = Survey::look();
    match format {
        Format::Json => print::json(&survey),
        Format::Text => print::text(&text(&survey)),
    }
}

fn text(survey: &Survey) -> String {
    let Survey { cameras, displays, panels, outputs, unusable } = survey;
    let mut text = String::new();
    heading(&mut text, "Cameras", cameras.is_empty());
    for camera in cameras {
        let _ = writeln!(text, "  {}  {}", camera.uri, camera.name);
        camera.formats.iter().for_each(|format| add_format(&mut text, format));
    }
    heading(&mut text, "Displays", displays.is_empty());
    for display in displays {
        let modes = match (display.connected, display.modes.is_empty()) {
            (false, _) => "not connected".into(),
            (true, true) => "no modes".into(),
            (true, false) => display.modes.join(", "),
        };
        let _ = writeln!(text, "  {}  {modes}", display.uri);
    }
    if !panels.is_empty() {
        heading(&mut text, "Places for panels", false);
        panels.iter().for_each(|bus| _ = writeln!(text, "  {}?panel=ili9341|st7735|st7789&dc=LINE", bus.uri));
    }
    if !outputs.is_empty() {
        heading(&mut text, "Video outputs", false);
        outputs.iter().for_each(|output| _ = writeln!(text, "  {}  {}", output.uri, output.name));
    }
    if !unusable.is_empty() {
        heading(&mut text, "Cannot be used", false);
        unusable.iter().for_each(|device| _ = writeln!(text, "  {}  {}", device.uri, device.reason));
    }
    text
}

fn heading(text: &mut String, name: &str, none: bool) {
    let _ = writeln!(text, "{name}:{}", if none { " none" } else { "" });
}

fn add_format(text: &mut String, format: &CameraFormat) {
    let sizes = format.sizes.iter().map(|size| match size.fps {
        // Drivers have fractions such as 29.97.
        Some(fps) => format!("{}@{}", size.size, (fps * 100.0).round() / 100.0),
        None => size.size.clone(),
    });
    let sizes: Vec<String> = sizes.collect();
    let note = if format.supported { "" } else { "  (not supported)" };
    let _ = writeln!(text, "    {:<4}  {}{note}", format.format, sizes.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Camera, CameraSize, Display, PanelBus, Unusable};

    #[test]
    fn everything_is_listed() {
        assert_eq!(text(&Survey::default()), "Cameras: none\nDisplays: none\n");
        let size = |size: &str, fps| CameraSize { size: size.into(), fps };
        let format = |name: &str, supported, sizes| CameraFormat { format: name.into(), supported, sizes };
        let formats = vec![
            format("YUYV", true, vec![size("640x480", Some(30.0)), size("1280x720", Some(9.999_99))]),
            format("RGB3", false, vec![size("16x16 to 640x480", None)]),
        ];
        let display = |name: &str, connected, modes: &[&str]| Display {
            uri: format!("drm://card0/{name}"),
            connected,
            modes: modes.iter().map(|mode| mode.to_string()).collect(),
        };
        let survey = Survey {
            cameras: vec![Camera { uri: "v4l2:///dev/video0".into(), name: "Webcam".into(), formats }],
            displays: vec![display("HDMI-A-1", true, &["1280x720@60", "640x480@60"]), display("DSI-1", false, &[])],
            panels: vec![PanelBus { uri: "spi://0.0".into() }],
            unusable: vec![Unusable { uri: "drm://card1".into(), reason: "no permission".into() }],
            ..Survey::default()
        };
        let expected = "\
Cameras:
  v4l2:///dev/video0  Webcam
    YUYV  640x480@30, 1280x720@10
    RGB3  16x16 to 640x480  (not supported)
Displays:
  drm://card0/HDMI-A-1  1280x720@60, 640x480@60
  drm://card0/DSI-1  not connected
Places for panels:
  spi://0.0?panel=ili9341|st7735|st7789&dc=LINE
Cannot be used:
  drm://card1  no permission
";
        assert_eq!(text(&survey), expected);
    }
}
