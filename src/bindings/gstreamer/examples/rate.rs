//! Frames through a pipeline as fast as they go: `rate FORMAT WIDTH HEIGHT FRAMES [PROPERTIES]` prints the median time of a
//! frame in milliseconds. `tests/gstreamer/speed` compares it with the engine's own.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gst::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, width, height, frames, properties @ ..] = &arguments[..] else {
        return Err("usage: FORMAT WIDTH HEIGHT FRAMES [PROPERTIES]".into());
    };
    gst::init()?;
    gstbifocal::plugin_register_static()?;
    let caps: gst::Caps =
        format!("video/x-raw,format={format},width={width},height={height},framerate=30/1").parse()?;
    let info = gst_video::VideoInfo::from_caps(&caps)?;
    let text =
        format!("appsrc name=source format=time ! bifocal {} ! fakesink name=sink sync=false", properties.join(" "));
    let pipeline = gst::parse::launch(&text)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let source = pipeline.by_name("source").and_downcast::<gst_app::AppSrc>().ok_or("no source")?;
    source.set_caps(Some(&caps));
    // Made once, sent again and again.
    let picture: Vec<u8> = (0..info.size()).map(|i| (i * i / 97 % 256) as u8).collect();
    let (frame, frames) = (gst::Buffer::from_slice(picture), frames.parse::<usize>()?);
    source.set_max_bytes(2 * info.size() as u64);
    let mut left = frames + 1;
    source.set_callbacks(
        gst_app::AppSrcCallbacks::builder()
            .need_data(move |source, _| {
                let _ = match left {
                    0 => source.end_of_stream(),
                    _ => source.push_buffer(frame.copy()),
                };
                left = left.saturating_sub(1);
            })
            .build(),
    );
    let times = Arc::new(Mutex::new(Vec::with_capacity(frames + 1)));
    let seen = times.clone();
    let pad = pipeline.by_name("sink").and_then(|sink| sink.static_pad("sink")).ok_or("no sink")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if let Ok(mut seen) = seen.lock() {
            seen.push(Instant::now());
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing)?;
    let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
    let end = pipeline.bus().and_then(|bus| bus.timed_pop_filtered(None, &kinds)).ok_or("no end")?;
    pipeline.set_state(gst::State::Null)?;
    if let gst::MessageView::Error(error) = end.view() {
        return Err(error.error().into());
    }
    let times = times.lock().map_err(|_| "a lock")?;
    let mut each: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect();
    each.sort_by(f64::total_cmp);
    println!("{:.4}", each[each.len() / 2]);
    Ok(())
}
