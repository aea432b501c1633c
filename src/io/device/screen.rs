//! What displays and framebuffers say of the frames on them.

use crate::frame::{Fitter, FrameFormat};
use crate::geom::Size;

/// What becomes of frames on a screen, in words.
pub(in crate::io) fn describe(frames: &FrameFormat, screen: Size, fitter: &Fitter) -> String {
    let shown = fitter.shown();
    if shown == frames.size {
        format!("frames of {} shown pixel on pixel", frames.size)
    } else if shown == screen && frames.size.width >= screen.width && frames.size.height >= screen.height {
        format!("the middle of frames of {}", frames.size)
    } else {
        format!("frames of {} shown as {shown}", frames.size)
    }
}
