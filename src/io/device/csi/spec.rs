//! What is asked of a camera on the board's own connector.

use std::time::Duration;

use crate::frame::{Matrix, Range};
use crate::geom::Size;
use crate::io::video::Rate;

/// What is asked of a camera on the board's own connector.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) struct CsiSpec {
    /// Its number.
    pub(in crate::io) camera: u32,
    pub(in crate::io) size: Size,
    pub(in crate::io) rate: Rate,
    /// Instead of the board's program: writes planes of YUV 4:2:0 on standard output.
    pub(in crate::io) command: Option<String>,
    /// Bytes from row to row, where the program pads them.
    pub(in crate::io) stride: Option<usize>,
    pub(in crate::io) matrix: Option<Matrix>,
    pub(in crate::io) range: Option<Range>,
    /// How long a camera that is gone is waited for; `None` for ever.
    pub(in crate::io) patience: Option<Duration>,
}

impl Default for CsiSpec {
    fn default() -> Self {
        let (size, rate) = (Size::new(640, 360), Rate { frames: 30, seconds: 1 });
        Self { camera: 0, size, rate, command: None, stride: None, matrix: None, range: None, patience: None }
    }
}
