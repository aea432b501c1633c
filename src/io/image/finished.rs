//! When an output needs no run any more: one rule for pictures, folders and sequences.

use std::path::Path;

use super::{Picture, open};
use crate::io::location::Location;

/// Is `output` finished: a file under its final name that is no older than `input`, is `scale` times as wide and high, and can
/// be read to its end, all pictures of an animation? Half ones never have a final name from us, but may from others, or from a disk that lost power.
pub fn is_finished(input: &Path, output: &Path, scale: usize) -> bool {
    let time = |path: &Path| std::fs::metadata(path).ok().filter(|about| about.is_file())?.modified().ok();
    match (time(input), time(output)) {
        (Some(given), Some(made)) if made >= given => {}
        _ => return false,
    }
    let opened = |path: &Path| open(&Location::File(path.to_path_buf())).ok();
    let (Some(given), Some(mut made)) = (opened(input), opened(output)) else { return false };
    let frames = |picture: &Picture| picture.metadata().animation.map(|animation| animation.frames);
    if made.size() != given.size().scaled(scale) || frames(&made) != frames(&given) {
        return false;
    }
    drop(given);
    loop {
        match made.next_row() {
            Ok(Some(_)) => {}
            Ok(None) => match made.next_frame() {
                Ok(true) => {}
                end => return end.is_ok(),
            },
            Err(_) => return false,
        }
    }
}
