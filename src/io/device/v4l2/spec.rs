//! What is asked of a camera.

use std::path::PathBuf;
use std::time::Duration;

use crate::frame::{Matrix, Range};
use crate::io::video::{Rate, VideoFormat};

/// What is asked of a camera.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) struct CameraSpec {
    pub(in crate::io) path: PathBuf,
    pub(in crate::io) width: Option<usize>,
    pub(in crate::io) height: Option<usize>,
    pub(in crate::io) rate: Option<Rate>,
    /// `None` chooses.
    pub(in crate::io) format: Option<VideoFormat>,
    pub(in crate::io) input: Option<u32>,
    pub(in crate::io) matrix: Option<Matrix>,
    pub(in crate::io) range: Option<Range>,
    /// How long a camera that is gone is waited for; `None` for ever.
    pub(in crate::io) patience: Option<Duration>,
}

impl CameraSpec {
    /// Whatever the camera at this path gives.
    #[cfg_attr(not(feature = "v4l2"), allow(dead_code))]
    pub(in crate::io) const fn of(path: PathBuf) -> Self {
        let (width, height, rate, format, input) = (None, None, None, None, None);
        Self { path, width, height, rate, format, input, matrix: None, range: None, patience: None }
    }
}

/// Can a camera give this?
pub(in crate::io) const fn is_of_cameras(format: VideoFormat) -> bool {
    !matches!(format, VideoFormat::Rgb24 | VideoFormat::Yuv422p | VideoFormat::Yuv444p)
}
