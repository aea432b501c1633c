//! Sources and sinks: photos, video and devices.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `image` | photos, row by row: PNG, PNM, and the formats that are held whole |
//! | `video` | whole frames: Y4M, raw, numbered pictures, the test picture; pixel formats |
//! | `net` | the page that a browser shows |
//! | `device` | one folder for each kind of device, its plain spec beside its driver; which devices there are |
//! | `uri` | the text of a URI to a spec; opens nothing |
//! | `source`, `sink` | a spec to an open source or sink |
//! | `destination` | a file that has its name only once it is complete |
//! | `child`, `reconnect` | programs that run beside this one, and devices and programs that leave and come back |
//! | `sys` | calls of the kernel that need `unsafe` |

#[cfg(unix)]
mod child;
mod destination;
mod device;
mod error;
mod fence;
mod image;
mod jpeg;
mod limits;
mod location;
mod net;
#[cfg(unix)]
mod reconnect;
mod sink;
mod source;
#[cfg(target_os = "linux")]
mod sys;
mod uri;
mod video;

pub use destination::{remove_partial_files, remove_partial_files_if_free};
pub use device::spi::spec::{Controller, PanelSpec, Turn};
#[cfg(all(target_os = "linux", feature = "spi"))]
pub use device::spi::{PanelSink, Wires};
pub use device::survey::{
    Camera, CameraFormat, CameraSize, Display, Output as VideoOutput, PanelBus, Survey, Unusable,
};
#[cfg(all(target_os = "linux", feature = "v4l2"))]
pub use device::v4l2::capture::frame_of_replies;
pub use error::{Cause, CreateError, OpenError, ReadError, WriteError};
pub use fence::decoding;
pub use image::{
    Animation, Delay, Density, Encoding, Metadata, Output, Picture, PngColour, Sink, Source, is_finished,
    is_picture_name, open, open_stream,
};
pub use limits::{MAX_SIDE, MAX_WHOLE_BYTES, PORT_BYTES, whole_limit};
pub use location::{FileIdentity, Location, same_file};
pub use net::{Access, Asked, MOST_HEAD, Refusal, What};
#[cfg(target_os = "linux")]
pub use sys::streams::output_is_closed;
pub use uri::{SinkUri, SourceUri, UriError, parse_duration};
#[cfg(unix)]
pub use video::ffmpeg;
pub use video::{
    Arrival, Audience, Clip, FrameSink, FrameSource, Gap, MjpegDecoder, Rate, Shown, TestSource, Troubles, VideoFormat,
    Y4mSource, read_counter,
};

/// Elsewhere it is not known.
#[cfg(not(target_os = "linux"))]
pub fn output_is_closed() -> bool {
    false
}
