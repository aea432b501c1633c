//! `v4l2://` as a sink: frames for a device that others read as a camera (v4l2loopback), or that feeds a display.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::fourcc::{OUTPUT, code_of, refused, why_not_open};
use crate::frame::{FrameFormat, Layout, Matrix, Range};
use crate::io::error::{DeviceError, WriteError};
use crate::io::sys::v4l2::{Device, Direction, Feed, PixFormat};
use crate::io::video::{FrameSink, Shown, VideoFormat, pack};

/// Longest wait for a device to take a frame.
const LIMIT: Duration = Duration::from_secs(2);

/// Writes frames to a device.
pub(in crate::io) struct OutputSink {
    feed: Feed,
    name: String,
    packing: VideoFormat,
    stride: usize,
    /// Of a frame as the device takes it.
    bytes: usize,
    format: FrameFormat,
}

/// Formats of the same samples; none for layouts that no device takes.
fn formats(layout: Layout) -> &'static [VideoFormat] {
    match layout {
        Layout::Yuv420 => &[VideoFormat::Yuv420p, VideoFormat::Nv12],
        Layout::Yuv422 => &[VideoFormat::Yuyv, VideoFormat::Uyvy],
        Layout::Gray => &[VideoFormat::Gray],
        Layout::Yuv444 | Layout::Rgb => &[],
    }
}

impl OutputSink {
    pub(in crate::io) fn open(name: &str, path: &Path, format: FrameFormat) -> Result<Self, DeviceError> {
        let device = Device::open(path).map_err(|error| why_not_open(path, error, OUTPUT))?;
        if !device.takes_frames() {
            return Err("this device takes no frames; v4l2loopback makes one that does".into());
        }
        let offered = device.formats(Direction::Output);
        let fits = |packing: &VideoFormat| offered.iter().any(|(code, _)| *code == code_of(*packing));
        let packing = formats(format.layout).iter().copied().find(fits).ok_or_else(|| {
            let list: Vec<String> = offered.iter().map(|(code, _)| code.to_string()).collect();
            format!("frames are {}, and the device takes only {}", format.layout.name(), list.join(", "))
        })?;
        let before = device
            .format(Direction::Output)
            .map_err(|error| refused(error, OUTPUT, |error| format!("tells no format: {error}")))?;
        let high = format.matrix == Matrix::Bt709;
        let wanted = PixFormat {
            width: format.size.width as u32,
            height: format.size.height as u32,
            code: code_of(packing),
            stride: 0,
            bytes: 0,
            // `V4L2_COLORSPACE_REC709` or `..._SMPTE170M`, then the encoding and range that go with it.
            colorspace: if high { 3 } else { 1 },
            encoding: if high { 2 } else { 1 },
            quantization: if format.range == Range::Full { 1 } else { 2 },
            ..before
        };
        let set = device
            .set_format(Direction::Output, &wanted)
            .map_err(|error| refused(error, OUTPUT, |error| format!("refuses: {error}")))?;
        if (set.width, set.height, set.code) != (wanted.width, wanted.height, wanted.code) {
            let (asked, given) = (format.size, format!("{} {}x{}", set.code, set.width, set.height));
            return Err(format!("takes {given} and not {} {asked}", wanted.code).into());
        }
        let stride = (set.stride as usize).max(packing.least_stride(format.size.width));
        let bytes = (set.bytes as usize).max(packing.bytes(&format, stride));
        log::info!("{name}: {}, {} {}, rows of {stride} bytes", device.name(), set.code, format.size);
        let feed = Feed::start(device, bytes)
            .map_err(|error| refused(error, OUTPUT, |error| format!("cannot start: {error}")))?;
        Ok(Self { feed, name: name.to_string(), packing, stride, bytes, format })
    }
}

impl FrameSink for OutputSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        let Self { feed, name, packing, stride, bytes, format } = self;
        let failed = |source| WriteError::Io { file: name.clone(), source };
        let fill = |memory: &mut [u8]| pack(*packing, format, *stride, frame, memory);
        match feed.give(*bytes, LIMIT, fill).map_err(failed)? {
            true => Ok(Shown::Now),
            false => Err(failed(io::Error::new(io::ErrorKind::TimedOut, "the device takes no more frames"))),
        }
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}
