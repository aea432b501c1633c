//! Video: whole frames in and out, from and to files and pipes, and the formats that their pixels come in.

#[cfg(unix)]
pub mod ffmpeg;
mod format;
mod mjpeg;
mod packing;
mod raw;
mod recording;
mod sequence;
mod stream;
mod test_source;
pub(in crate::io) mod y4m;

pub use format::VideoFormat;
pub use mjpeg::MjpegDecoder;
#[cfg(all(target_os = "linux", feature = "v4l2"))]
pub(in crate::io) use packing::{pack, unpack};
pub(in crate::io) use raw::{RawSink, RawSource, buffered};
pub(in crate::io) use sequence::{LeaveOut, Pattern, Sequence, SequenceSink};
pub use stream::{Arrival, Audience, Clip, FrameSink, FrameSource, Gap, Rate, Shown, Troubles};
pub(in crate::io) use test_source::SMALLEST;
pub use test_source::{TestSource, read_counter};
pub(in crate::io) use y4m::Y4mSink;
pub use y4m::Y4mSource;
