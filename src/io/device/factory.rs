//! From a spec to an open device, or to the reason why this program has none: the one place that knows which drivers
//! were built.

use std::path::Path;

use super::csi::spec::CsiSpec;
use super::drm::spec::DisplaySpec;
use super::spi::spec::{PanelSpec, PanelWiring};
use super::v4l2::spec::CameraSpec;
use crate::frame::{Fit, FrameFormat};
use crate::io::error::{Cause, CreateError, DeviceError, OpenError};
use crate::io::video::{FrameSink, FrameSource};

/// Opens a camera.
pub(in crate::io) fn camera(uri: &str, spec: CameraSpec) -> Result<Box<dyn FrameSource>, OpenError> {
    #[cfg(all(target_os = "linux", feature = "v4l2"))]
    {
        super::v4l2::capture::CameraSource::open(spec)
            .map(|camera| Box::new(camera) as Box<dyn FrameSource>)
            .map_err(|error| error.open(uri))
    }
    #[cfg(not(all(target_os = "linux", feature = "v4l2")))]
    {
        Err(not_built("cameras", "v4l2", &spec).open(uri))
    }
}

/// Starts the program of a camera.
pub(in crate::io) fn csi(uri: &str, spec: CsiSpec) -> Result<Box<dyn FrameSource>, OpenError> {
    #[cfg(unix)]
    {
        super::csi::source::CsiSource::open(uri, spec)
            .map(|camera| Box::new(camera) as Box<dyn FrameSource>)
            .map_err(|error| error.open(uri))
    }
    #[cfg(not(unix))]
    {
        Err(not_built("cameras of boards", "csi", &spec).open(uri))
    }
}

/// Opens a device that takes frames as a display or as another program's camera.
pub(in crate::io) fn video_output(
    uri: &str,
    path: &Path,
    format: FrameFormat,
) -> Result<Box<dyn FrameSink>, CreateError> {
    #[cfg(all(target_os = "linux", feature = "v4l2"))]
    {
        super::v4l2::output::OutputSink::open(uri, path, format)
            .map(|sink| Box::new(sink) as Box<dyn FrameSink>)
            .map_err(|error| error.create(uri))
    }
    #[cfg(not(all(target_os = "linux", feature = "v4l2")))]
    {
        Err(not_built("video outputs", "v4l2", &(path, format)).create(uri))
    }
}

/// Opens a display.
pub(in crate::io) fn display(
    uri: &str,
    spec: DisplaySpec,
    format: FrameFormat,
    fit: Fit,
) -> Result<Box<dyn FrameSink>, CreateError> {
    #[cfg(all(target_os = "linux", feature = "drm"))]
    {
        super::drm::sink::DisplaySink::open(uri, spec, format, fit)
            .map(|sink| Box::new(sink) as Box<dyn FrameSink>)
            .map_err(|error| error.create(uri))
    }
    #[cfg(not(all(target_os = "linux", feature = "drm")))]
    {
        Err(not_built("displays", "drm", &(spec, format, fit)).create(uri))
    }
}

/// Opens a framebuffer.
pub(in crate::io) fn framebuffer(
    uri: &str,
    path: &Path,
    format: FrameFormat,
    fit: Fit,
) -> Result<Box<dyn FrameSink>, CreateError> {
    #[cfg(all(target_os = "linux", feature = "drm"))]
    {
        super::fb::FramebufferSink::open(uri, path, format, fit)
            .map(|sink| Box::new(sink) as Box<dyn FrameSink>)
            .map_err(|error| error.create(uri))
    }
    #[cfg(not(all(target_os = "linux", feature = "drm")))]
    {
        Err(not_built("displays", "drm", &(path, format, fit)).create(uri))
    }
}

/// Starts a panel.
pub(in crate::io) fn panel(
    uri: &str,
    wiring: &PanelWiring,
    spec: &PanelSpec,
    format: FrameFormat,
    fit: Fit,
) -> Result<Box<dyn FrameSink>, CreateError> {
    #[cfg(all(target_os = "linux", feature = "spi"))]
    {
        super::spi::linux::open(uri, wiring, spec, format, fit).map(|sink| Box::new(sink) as Box<dyn FrameSink>)
    }
    #[cfg(not(all(target_os = "linux", feature = "spi")))]
    {
        Err(not_built("panels", "spi", &(wiring, spec, format, fit)).create(uri))
    }
}

/// The reason where a driver is missing; what was asked for is of no use then.
#[allow(dead_code)] // of use where a feature is off
fn not_built<T>(what: &str, feature: &str, _: &T) -> DeviceError {
    DeviceError::new(Cause::NotBuilt, without(what, feature))
}

#[allow(dead_code)] // of use where a feature is off
pub(super) fn without(what: &str, feature: &str) -> String {
    format!("this program was built without {what}; they need Linux and the feature '{feature}'")
}
