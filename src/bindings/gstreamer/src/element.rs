//! The element.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct Bifocal(ObjectSubclass<imp::Bifocal>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "bifocal", gst::Rank::NONE, Bifocal::static_type())
}
