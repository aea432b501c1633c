//! What V4L2 calls the pixel formats that are understood, and why its devices do not open.

use std::io;
use std::path::Path;

use crate::io::error::DeviceError;
use crate::io::sys::v4l2::FourCc;
use crate::io::video::VideoFormat;

/// Formats that are understood; the first cost least: less chroma to enlarge, nothing to decode, no colour lost.
pub(super) const FORMATS: [(FourCc, VideoFormat); 6] = [
    (FourCc::new(b"NV12"), VideoFormat::Nv12),
    (FourCc::new(b"YU12"), VideoFormat::Yuv420p),
    (FourCc::new(b"YUYV"), VideoFormat::Yuyv),
    (FourCc::new(b"UYVY"), VideoFormat::Uyvy),
    (FourCc::new(b"MJPG"), VideoFormat::Mjpeg),
    (FourCc::new(b"GREY"), VideoFormat::Gray),
];

/// The format that V4L2 calls `code`.
pub(in crate::io) fn format_of(code: FourCc) -> Option<VideoFormat> {
    FORMATS.iter().find(|(own, _)| *own == code).map(|(_, format)| *format)
}

/// What V4L2 calls `format`.
pub(super) fn code_of(format: VideoFormat) -> FourCc {
    FORMATS.iter().find(|(_, own)| *own == format).map_or(FourCc(0), |(code, _)| *code)
}

/// What a device is to us, in the words of messages.
#[derive(Clone, Copy)]
pub(in crate::io) struct Role {
    pub(in crate::io) absent: &'static str,
    pub(in crate::io) busy: &'static str,
}

pub(in crate::io) const CAMERA: Role = Role {
    absent: "there is no such device; is the camera plugged in? 'ls /dev/video*' shows what is there",
    busy: "another program uses this camera; end it first ('fuser' tells which)",
};
pub(in crate::io) const OUTPUT: Role = Role {
    absent: "there is no such device; v4l2loopback makes one that takes frames, and 'ls /dev/video*' shows what is there",
    busy: "another program feeds this device; end it first ('fuser' tells which)",
};

/// Why a device file does not open, and what to do.
pub(in crate::io) fn why_not_open(path: &Path, error: io::Error, role: Role) -> DeviceError {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => role.absent.into(),
        io::ErrorKind::PermissionDenied => {
            "no permission; add yourself to its group with 'sudo usermod -aG video $USER', then log in again".into()
        }
        io::ErrorKind::ResourceBusy => role.busy.into(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOTTY.raw_os_error()) => {
            return format!("{} is no video device", path.display()).into();
        }
        _ => error.to_string(),
    };
    DeviceError::of(error, reason)
}

/// Why an open device does not do as it is asked; `what` is for all reasons but the usual.
pub(super) fn refused(error: io::Error, role: Role, what: impl FnOnce(&io::Error) -> String) -> DeviceError {
    let reason = if error.kind() == io::ErrorKind::ResourceBusy { role.busy.into() } else { what(&error) };
    match error.kind() {
        // The format or input, not the device.
        io::ErrorKind::InvalidInput => reason.into(),
        _ => DeviceError::of(error, reason),
    }
}
