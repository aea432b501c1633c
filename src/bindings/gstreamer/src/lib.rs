//! The GStreamer plugin of Bifocal: one element, `bifocal`, which upscales raw video.
//!
//! `gst-inspect-1.0 bifocal` lists what it takes; `README.md` shows pipelines.

mod caps;
mod element;
mod format;
mod latency;
mod settings;

use gst::glib;

fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    element::register(plugin)
}

gst::plugin_define!(
    bifocal,
    env!("CARGO_PKG_DESCRIPTION"),
    register,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "https://crates.io/crates/bifocal"
);
