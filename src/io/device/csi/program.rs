//! Which program gives the frames of a camera, how it is called, and how its frames lie.

use std::path::PathBuf;

use super::spec::CsiSpec;
use crate::frame::{Matrix, Range};
use crate::geom::Size;
use crate::io::error::{Cause, DeviceError};

/// Names of the program of Raspberry Pi; the first is that of today.
const RPICAM: [&str; 2] = ["rpicam-vid", "libcamera-vid"];
const GSTREAMER: &str = "gst-launch-1.0";
const TREE: &str = "/proc/device-tree/compatible";

/// What decides between programs.
pub(super) struct Host {
    /// `compatible` of the device tree.
    tree: String,
    path: Vec<PathBuf>,
}

impl Host {
    pub(super) fn look() -> Self {
        let tree = String::from_utf8_lossy(&std::fs::read(TREE).unwrap_or_default()).into_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self { tree, path: std::env::split_paths(&path).collect() }
    }

    fn has(&self, program: &str) -> bool {
        self.path.iter().any(|folder| folder.join(program).is_file())
    }

    /// Image processors write rows whose length suits them: a multiple of 64 bytes for each plane on Raspberry Pi 5,
    /// hence of 128 for luma, and of 64 for luma on the boards before it.
    fn alignment(&self) -> usize {
        if self.tree.contains("bcm2712") { 128 } else { 64 }
    }
}

/// A program, its arguments, and what comes out of it: planes of YUV 4:2:0.
#[derive(Debug, PartialEq)]
pub(super) struct Program {
    /// What people call it.
    pub(super) name: String,
    pub(super) words: Vec<String>,
    /// The same in one line, for people.
    pub(super) line: String,
    /// Bytes from row to row of luma; chroma has half of it.
    pub(super) stride: usize,
    pub(super) matrix: Matrix,
    pub(super) range: Range,
}

impl Program {
    /// The program for `spec` on this host.
    ///
    /// # Errors
    ///
    /// When none is installed, or its frames would lie in a way that nobody knows.
    pub(super) fn choose(spec: &CsiSpec, host: &Host) -> Result<Self, DeviceError> {
        let Size { width, height } = spec.size;
        if width % 2 + height % 2 > 0 {
            return Err(format!("width and height must be even; {}x{} are", width & !1, height & !1).into());
        }
        if spec.stride.is_some_and(|stride| stride < width || stride % 2 > 0) {
            return Err(format!("stride= must be even, and at least the width ({width})").into());
        }
        if let Some(command) = &spec.command {
            return Ok(Self::custom(spec, command));
        }
        let tegra = host.tree.contains("nvidia,tegra");
        let rpicam = RPICAM.into_iter().find(|name| host.has(name)).filter(|_| !tegra);
        match rpicam {
            Some(name) => Ok(Self::rpicam(spec, name, host.alignment())?),
            None if host.has(GSTREAMER) && (tegra || !host.tree.contains("raspberrypi")) => Ok(Self::argus(spec)?),
            None => Err(DeviceError::new(Cause::Absent, missing(tegra))),
        }
    }

    fn rpicam(spec: &CsiSpec, name: &str, alignment: usize) -> Result<Self, String> {
        let Size { width, height } = spec.size;
        let usual = width.next_multiple_of(alignment);
        if usual != width && spec.stride.is_none() {
            let less = width / alignment * alignment;
            let or = if less > 0 { format!("{less} or {usual}") } else { usual.to_string() };
            return Err(format!(
                "{name} pads rows of {width} bytes and does not say how; choose a width of {or}, or add &stride={usual} \
                 if that is what this board's rows are"
            ));
        }
        let rate = match (spec.rate.frames, spec.rate.seconds) {
            (frames, 1) => frames.to_string(),
            (frames, seconds) => format!("{:.3}", f64::from(frames) / f64::from(seconds)),
        };
        let (camera, width, height) = (spec.camera.to_string(), width.to_string(), height.to_string());
        let what = ["--codec", "yuv420", "--width", &width, "--height", &height, "--framerate", &rate];
        let how = ["--timeout", "0", "--nopreview", "--flush", "-o", "-"];
        let words = [name, "--camera", &camera].into_iter().chain(what).chain(how);
        let words: Vec<String> = words.map(str::to_string).collect();
        let stride = spec.stride.unwrap_or(usual);
        // For yuv420 it asks libcamera for sYCC, which is that of JPEG.
        let (matrix, range) = (Matrix::Bt601, Range::Full);
        Ok(Self { name: name.into(), line: words.join(" "), words, stride, matrix, range })
    }

    fn argus(spec: &CsiSpec) -> Result<Self, String> {
        let Size { width, height } = spec.size;
        // GStreamer's rows are multiples of four bytes, in each plane.
        if width % 8 > 0 {
            return Err(format!("choose a width that is a multiple of 8, as {}", width.next_multiple_of(8)));
        }
        let caps = format!(
            "video/x-raw(memory:NVMM),format=NV12,width={width},height={height},framerate={}/{}",
            spec.rate.frames, spec.rate.seconds
        );
        let camera = format!("sensor-id={}", spec.camera);
        let from = [GSTREAMER, "-q", "nvarguscamerasrc", &camera, "!", &caps, "!", "nvvidconv", "!"];
        let to = ["video/x-raw,format=I420", "!", "fdsink", "fd=3", "sync=false"];
        let words: Vec<String> = from.into_iter().chain(to).map(str::to_string).collect();
        let line = words.join(" ") + " 3>&1 1>&2";
        // NVIDIA's library prints its messages on standard output: the frames take another way.
        let shell = ["sh", "-c", "exec \"$@\" 3>&1 1>&2", "sh"].map(str::to_string);
        let words = shell.into_iter().chain(words).collect();
        let (matrix, range) = (Matrix::Bt601, Range::Limited);
        Ok(Self { name: GSTREAMER.into(), words, line, stride: width, matrix, range })
    }

    fn custom(spec: &CsiSpec, command: &str) -> Self {
        let words = ["sh", "-c", command].map(str::to_string).to_vec();
        let stride = spec.stride.unwrap_or(spec.size.width);
        let (matrix, range) = (Matrix::Bt601, Range::Full);
        Self { name: "the command".into(), words, line: command.into(), stride, matrix, range }
    }
}

fn missing(tegra: bool) -> String {
    let pi = "'sudo apt install rpicam-apps-lite' on Raspberry Pi OS";
    let jetson = "'sudo apt install gstreamer1.0-tools nvidia-l4t-gstreamer' on a Jetson";
    match tegra {
        true => format!("{GSTREAMER} is not installed; {jetson}"),
        false => format!("neither rpicam-vid nor {GSTREAMER} is installed; {pi}, {jetson}, or ?command="),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::video::Rate;

    fn spec(width: usize) -> CsiSpec {
        CsiSpec { camera: 1, size: Size::new(width, 360), rate: Rate { frames: 30, seconds: 1 }, ..CsiSpec::default() }
    }

    fn choose(spec: &CsiSpec, host: &Host) -> Result<Program, String> {
        Program::choose(spec, host).map_err(|error| error.to_string())
    }

    fn host(tree: &str, programs: &[&str]) -> (Host, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        programs.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        (Host { tree: tree.into(), path: vec!["/nonexistent".into(), folder.path().into()] }, folder)
    }

    #[test]
    fn the_board_and_what_is_installed_decide() {
        let chosen = |tree, programs| choose(&spec(640), &host(tree, programs).0).map(|program| program.line);
        let pi = "rpicam-vid --camera 1 --codec yuv420 --width 640 --height 360 --framerate 30 --timeout 0 --nopreview \
                  --flush -o -";
        let both = &["libcamera-vid", "rpicam-vid", "gst-launch-1.0"];
        assert_eq!(chosen("raspberrypi,4-model-b\0brcm,bcm2711\0", both).as_deref(), Ok(pi));
        let old = chosen("raspberrypi,4-model-b\0brcm,bcm2711\0", &["libcamera-vid"]).unwrap();
        assert!(old.starts_with("libcamera-vid --camera 1"), "{old}");
        let jetson = "gst-launch-1.0 -q nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,width=640,\
                      height=360,framerate=30/1 ! nvvidconv ! video/x-raw,format=I420 ! fdsink fd=3 sync=false 3>&1 1>&2";
        assert_eq!(chosen("nvidia,p3450-0000\0nvidia,tegra210\0", both).as_deref(), Ok(jetson));
        let none = chosen("raspberrypi,4-model-b\0brcm,bcm2711\0", &["gst-launch-1.0"]).unwrap_err();
        assert!(none.contains("rpicam-vid") && none.contains("apt install"), "{none}");
        let none = chosen("nvidia,tegra210\0", &["rpicam-vid"]).unwrap_err();
        assert!(none.starts_with("gst-launch-1.0 is not installed") && !none.contains("rpicam"), "{none}");
    }

    #[test]
    fn rows_that_would_be_padded_are_refused_unless_their_length_is_told() {
        let stride = |tree, width, stride| {
            let spec = CsiSpec { stride, ..spec(width) };
            choose(&spec, &host(tree, &["rpicam-vid"]).0).map(|program| program.stride)
        };
        let (four, five) = ("brcm,bcm2711\0", "brcm,bcm2712\0");
        assert_eq!(stride(four, 320, None), Ok(320));
        assert_eq!(stride(five, 640, None), Ok(640));
        let told = stride(five, 704, None).unwrap_err();
        assert!(told.contains("640 or 768") && told.contains("stride=768"), "{told}");
        assert!(stride(four, 60, None).unwrap_err().contains("a width of 64"));
        assert_eq!(stride(five, 704, Some(768)), Ok(768));
        for (width, given) in [(641, None), (640, Some(639)), (640, Some(641)), (640, Some(600))] {
            assert!(stride(four, width, given).is_err(), "{width} {given:?}");
        }
        let (jetson, _folder) = host("nvidia,tegra234\0", &["gst-launch-1.0"]);
        assert!(choose(&spec(636), &jetson).unwrap_err().contains("640"));
    }

    #[test]
    fn rates_and_commands() {
        let rate = Rate { frames: 30_000, seconds: 1001 };
        let words = choose(&CsiSpec { rate, ..spec(640) }, &host("", &["rpicam-vid"]).0).unwrap().words;
        assert!(words.windows(2).any(|pair| pair == ["--framerate", "29.970"]), "{words:?}");
        let command = Some("cat frames | tee copy".to_string());
        let program = choose(&CsiSpec { command, ..spec(642) }, &host("", &[]).0).unwrap();
        assert_eq!(program.words, ["sh", "-c", "cat frames | tee copy"]);
        assert_eq!(program.stride, 642);
    }
}
