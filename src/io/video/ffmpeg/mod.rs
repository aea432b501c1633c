//! Video files and network streams, through the `ffmpeg` and `ffprobe` that are installed: they run as programs beside this
//! one and are never linked.
//!
//! ```text
//! ffprobe -> probe: what there is
//! ffmpeg, decodes --NUT--> reader -> ... -> writer --NUT--> ffmpeg, encodes -> parts: NUT files of 250 frames
//! parts --NUT--> join: ffmpeg, copies everything else of the source beside them -> the output
//! ```
//!
//! Frames have their time stamps beside them all the way, in ticks of the source. Parts are encoded each by itself, so that a
//! run that was ended goes on at the next of them and the result is that of a run at once.

mod ffprobe;
mod hdr;
mod join;
mod nut;
mod parts;
mod probe;
mod program;
mod reader;
mod writer;

pub use join::{Container, End, join, test_output};
pub use parts::{Parts, PartsError};
pub use probe::Movie;
pub use reader::{Decoding, Known};
pub use writer::{Codec, PartsSink};
