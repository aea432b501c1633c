//! The element in `gst-check`'s harness: caps both ways, bytes, time stamps, flags, metas, events, queries and errors.

use bifocal::{Engine, Model, Options, PixelFormat, Plane, PlaneMut, Siting, Size, YuvFormat};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoBufferPoolConfig, VideoFormat, VideoFrameExt, VideoInfo, VideoMeta};

fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstbifocal::plugin_register_static().expect("a plugin");
    });
}

/// A harness of `bifocal` with these properties.
fn harness(properties: &str) -> Harness {
    init();
    let element = gst::ElementFactory::make("bifocal").build().unwrap();
    for (name, value) in properties.split_whitespace().map(|property| property.split_once('=').unwrap()) {
        element.set_property_from_str(name, value);
    }
    Harness::with_element(&element, Some("sink"), Some("src"))
}

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(25, 1))
        .chroma_site(gst_video::VideoChromaSite::MPEG2)
        .build()
        .unwrap()
}

fn caps(info: &VideoInfo) -> gst::Caps {
    info.to_caps().unwrap()
}

/// Bytes of a row of a plane, and its rows, without padding.
fn shape(info: &VideoInfo, plane: usize) -> (usize, usize) {
    let (width, height) = (info.width() as usize, info.height() as usize);
    let (half, low) = (width.div_ceil(2), height.div_ceil(2));
    match (info.format(), plane) {
        (VideoFormat::Yuy2 | VideoFormat::Yvyu, _) => (4 * half, height),
        (VideoFormat::Nv12 | VideoFormat::Nv21, 1) => (2 * half, low),
        (VideoFormat::I420 | VideoFormat::Yv12, 1 | 2) => (half, low),
        (VideoFormat::Y42b, 1 | 2) => (half, height),
        (VideoFormat::Rgb | VideoFormat::Bgr, _) => (3 * width, height),
        (VideoFormat::Bgrx | VideoFormat::Rgbx | VideoFormat::Bgra | VideoFormat::Rgba, _) => (4 * width, height),
        _ => (width, height),
    }
}

/// Planes of noise with some structure, without padding.
fn planes(info: &VideoInfo, seed: usize) -> Vec<Vec<u8>> {
    let plane = |plane: usize| {
        let (bytes, rows) = shape(info, plane);
        let at = |i: usize| ((i % bytes) * 3 + (i / bytes) * 5 + (i * i * (seed + plane + 7)) % 31) as u8;
        (0..bytes * rows).map(at).collect()
    };
    (0..info.n_planes() as usize).map(plane).collect()
}

/// What the engine makes of them.
fn expected(info: &VideoInfo, planes: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let size = Size::new(info.width() as usize, info.height() as usize);
    let yuv = |format| Options::yuv(size, format).with_siting(Siting::Left);
    let options = match info.format() {
        VideoFormat::Nv12 | VideoFormat::Nv21 => yuv(YuvFormat::Nv12),
        VideoFormat::I420 | VideoFormat::Yv12 => yuv(YuvFormat::I420),
        VideoFormat::Yuy2 | VideoFormat::Yvyu => yuv(YuvFormat::Yuy2),
        VideoFormat::Y42b => yuv(YuvFormat::I422),
        VideoFormat::Y444 => yuv(YuvFormat::I444),
        VideoFormat::Gray8 => Options::new(size, PixelFormat::Gray8),
        VideoFormat::Rgb => Options::new(size, PixelFormat::Rgb8),
        VideoFormat::Bgr => Options::new(size, PixelFormat::Rgb8).with_blue_first(),
        VideoFormat::Rgbx | VideoFormat::Rgba => Options::new(size, PixelFormat::Rgba8),
        VideoFormat::Bgrx | VideoFormat::Bgra => Options::new(size, PixelFormat::Rgba8).with_blue_first(),
        other => panic!("{other:?}"),
    };
    let large = self::info(info.format(), 2 * info.width(), 2 * info.height());
    let shapes = |info: &VideoInfo| (0..info.n_planes() as usize).map(|plane| shape(info, plane)).collect::<Vec<_>>();
    let mut made: Vec<Vec<u8>> = shapes(&large).into_iter().map(|(bytes, rows)| vec![0; bytes * rows]).collect();
    let input: Vec<Plane> =
        planes.iter().zip(shapes(info)).map(|(plane, (bytes, _))| Plane::new(plane, bytes)).collect();
    let mut output: Vec<PlaneMut> =
        made.iter_mut().zip(shapes(&large)).map(|(plane, (bytes, _))| PlaneMut::new(plane, bytes)).collect();
    Engine::prepare(&Model::embedded().unwrap(), &options).unwrap().upscale(&input, &mut output).unwrap();
    made
}

/// A buffer with these planes; with padding there is more of it between rows and planes than GStreamer's own.
fn buffer(info: &VideoInfo, planes: &[Vec<u8>], padding: usize) -> gst::Buffer {
    let count = planes.len();
    let (mut strides, mut offsets, mut size) = ([0; 4], [0; 4], 13 * padding);
    for plane in 0..count {
        let (bytes, rows) = shape(info, plane);
        let stride = if padding > 0 { bytes + padding } else { info.stride()[plane] as usize };
        strides[plane] = stride as i32;
        offsets[plane] = if padding > 0 { size } else { info.offset()[plane] };
        size = offsets[plane] + stride * rows;
    }
    let mut bytes = vec![0xa5; size.max(info.size())];
    for (plane, samples) in planes.iter().enumerate() {
        let (row_bytes, _) = shape(info, plane);
        for (y, row) in samples.chunks(row_bytes).enumerate() {
            bytes[offsets[plane] + y * strides[plane] as usize..][..row_bytes].copy_from_slice(row);
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if padding > 0 {
        let flags = gst_video::VideoFrameFlags::empty();
        let (width, height) = (info.width(), info.height());
        let buffer = buffer.get_mut().unwrap();
        VideoMeta::add_full(buffer, flags, info.format(), width, height, &offsets[..count], &strides[..count]).unwrap();
    }
    buffer
}

/// The samples of a buffer, without padding.
fn samples(info: &VideoInfo, buffer: &gst::BufferRef) -> Vec<Vec<u8>> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let plane = |plane: usize| {
        let (bytes, rows) = shape(info, plane);
        let stride = frame.plane_stride()[plane] as usize;
        let rows = frame.plane_data(plane as u32).unwrap().chunks(stride).take(rows);
        rows.flat_map(|row| row[..bytes].to_vec()).collect()
    };
    (0..info.n_planes() as usize).map(plane).collect()
}

fn output_info(harness: &Harness) -> VideoInfo {
    VideoInfo::from_caps(&harness.sinkpad().unwrap().current_caps().unwrap()).unwrap()
}

/// Formats of the pad template.
fn formats() -> Vec<VideoFormat> {
    init();
    let template = gst::ElementFactory::find("bifocal").unwrap().static_pad_templates().iter().next().unwrap().caps();
    let list = template.structure(0).unwrap().get::<gst::List>("format").unwrap();
    list.iter().map(|name| VideoFormat::from_string(name.get().unwrap())).collect()
}

#[test]
fn each_format_has_the_bytes_of_the_engine() {
    let formats = formats();
    assert_eq!(formats.len(), 15);
    for format in formats {
        for (width, height, padding) in [(48, 32, 0), (35, 19, 0), (35, 19, 21), (1, 1, 0)] {
            let info = info(format, width, height);
            let planes = planes(&info, 1);
            let mut harness = harness("");
            harness.set_src_caps(caps(&info));
            let made = harness.push_and_pull(buffer(&info, &planes, padding)).unwrap();
            let large = output_info(&harness);
            assert_eq!((large.width(), large.height(), large.format()), (2 * width, 2 * height, format));
            assert!(samples(&large, &made) == expected(&info, &planes), "{format:?} {width}x{height} + {padding}");
        }
    }
}

/// The buffers that are written to may be padded too: those of a pool whose owner asks for it.
#[test]
fn rows_of_the_output_may_be_padded() {
    init();
    let (info, padded) = (info(VideoFormat::Nv12, 35, 19), 256);
    let mut harness = harness("");
    // A sink with a pool of its own, as displays have: aligned rows, told by a meta.
    let large = self::info(VideoFormat::Nv12, 70, 38);
    let pool = gst_video::VideoBufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&caps(&large)), large.size() as u32, 2, 0);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
    config.set_video_alignment(&gst_video::VideoAlignment::new(2, 6, 10, padded - 80, &[0; 4]));
    let offered = (pool, config);
    let offer = std::sync::Mutex::new(Some(offered));
    harness.sinkpad().unwrap().add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
        if let Some(gst::QueryViewMut::Allocation(query)) = info.query_mut().map(|query| query.view_mut())
            && let Some((pool, config)) = offer.lock().unwrap().take()
        {
            pool.set_config(config).unwrap();
            query.add_allocation_pool(Some(&pool), pool.config().params().unwrap().1, 2, 0);
            query.add_allocation_meta::<VideoMeta>(None);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
    harness.set_src_caps(caps(&info));
    let planes = planes(&info, 2);
    let made = harness.push_and_pull(buffer(&info, &planes, 0)).unwrap();
    let stride = made.meta::<VideoMeta>().expect("a meta of the pool").stride()[0];
    assert!(stride > 100, "{stride}");
    assert!(samples(&output_info(&harness), &made) == expected(&info, &planes));
}

/// Sources learn that they may hand out padded rows as they have them.
#[test]
fn sources_are_told_that_rows_may_be_padded() {
    let mut harness = harness("");
    let info = info(VideoFormat::Nv12, 35, 19);
    harness.set_src_caps(caps(&info));
    let mut query = gst::query::Allocation::new(Some(&caps(&info)), true);
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    assert!(query.find_allocation_meta::<VideoMeta>().is_some(), "{query:?}");
    let (_, size, ..) = query.allocation_pools().next().expect("a pool");
    assert!(size as usize >= info.size());
}

#[test]
fn caps_are_negotiated_both_ways() {
    // What a source may send, for what a sink wants.
    let mut harness = harness("model=ctnet-tiny-x3");
    harness.set_sink_caps("video/x-raw, format={NV12, P010_10LE}, width=[1, 1000], height=30".parse().unwrap());
    harness.play();
    let may = harness.element().unwrap().static_pad("sink").unwrap().query_caps(None);
    let wanted: gst::Caps =
        "video/x-raw, format=NV12, width=[1, 333], height=10, framerate=[0/1, 2147483647/1]".parse().unwrap();
    assert!(may == wanted, "{may}");
    // What a sink can have, for what a source sends.
    let mut harness = self::harness("model=ctnet-tiny-x4");
    harness.set_src_caps("video/x-raw, format=RGB, width=160, height=90, framerate=25/1".parse().unwrap());
    let gets = harness.element().unwrap().static_pad("src").unwrap().query_caps(None);
    let large =
        |width: i32| format!("video/x-raw, format=RGB, width={width}, height=360").parse::<gst::Caps>().unwrap();
    assert!(gets.can_intersect(&large(640)) && !gets.can_intersect(&large(320)), "{gets}");
}

#[test]
fn all_but_the_size_is_kept() {
    let mut harness = harness("");
    let text = "video/x-raw, format=I420, width=20, height=10, framerate=30000/1001, pixel-aspect-ratio=4/3, \
                colorimetry=bt709, chroma-site=mpeg2, interlace-mode=progressive, multiview-mode=mono";
    harness.set_src_caps(text.parse().unwrap());
    let info = info(VideoFormat::I420, 20, 10);
    harness.push_and_pull(buffer(&info, &planes(&info, 3), 0)).unwrap();
    let given = harness.sinkpad().unwrap().current_caps().unwrap();
    let wanted: gst::Caps = text.replace("width=20, height=10", "width=40, height=20").parse().unwrap();
    assert!(given.is_strictly_equal(&wanted), "{given}");
    // Small frames are BT.601 unless they say otherwise, large ones BT.709: so it is said.
    let mut harness = self::harness("");
    harness.set_src_caps("video/x-raw, format=NV12, width=720, height=540, framerate=25/1".parse().unwrap());
    let small = self::info(VideoFormat::Nv12, 720, 540);
    harness.push_and_pull(buffer(&small, &planes(&small, 3), 0)).unwrap();
    let large = output_info(&harness);
    assert_eq!(large.colorimetry().to_string(), "bt601");
    assert_eq!(large.chroma_site(), gst_video::VideoChromaSite::JPEG);
}

#[test]
fn interlaced_frames_and_others_are_refused() {
    for refused in [
        "video/x-raw, format=I420, width=20, height=10, framerate=25/1, interlace-mode=interleaved",
        "video/x-raw, format=P010_10LE, width=20, height=10, framerate=25/1",
        "video/x-raw, format=I420, width=70000, height=10, framerate=25/1",
    ] {
        let mut harness = harness("");
        harness.play();
        let caps: gst::Caps = refused.parse().unwrap();
        assert!(!harness.element().unwrap().static_pad("sink").unwrap().query_accept_caps(&caps), "{refused}");
    }
}

#[test]
fn times_flags_and_metas_are_kept() {
    let mut harness = harness("");
    let info = info(VideoFormat::Gray8, 20, 10);
    harness.set_src_caps(caps(&info));
    let planes = planes(&info, 4);
    for (number, flags) in
        [gst::BufferFlags::DISCONT, gst::BufferFlags::DELTA_UNIT, gst::BufferFlags::MARKER].into_iter().enumerate()
    {
        let mut frame = buffer(&info, &planes, 0);
        {
            let frame = frame.get_mut().unwrap();
            frame.set_pts(gst::ClockTime::from_mseconds(40 * number as u64 + 7));
            frame.set_dts(gst::ClockTime::from_mseconds(40 * number as u64 + 3));
            frame.set_duration(gst::ClockTime::from_mseconds(13));
            frame.set_offset(5 + number as u64);
            frame.set_flags(flags);
            gst_video::VideoRegionOfInterestMeta::add(frame, "face", (4, 2, 8, 6));
            gst::ReferenceTimestampMeta::add(
                frame,
                &gst::Caps::new_empty_simple("timestamp/x-ntp"),
                gst::ClockTime::from_seconds(9),
                gst::ClockTime::NONE,
            );
        }
        let made = harness.push_and_pull(frame).unwrap();
        assert_eq!(made.pts(), Some(gst::ClockTime::from_mseconds(40 * number as u64 + 7)));
        assert_eq!(made.dts(), Some(gst::ClockTime::from_mseconds(40 * number as u64 + 3)));
        assert_eq!(made.duration(), Some(gst::ClockTime::from_mseconds(13)));
        assert_eq!(made.offset(), 5 + number as u64);
        assert!(made.flags().contains(flags), "{:?}", made.flags());
        let region = made.meta::<gst_video::VideoRegionOfInterestMeta>().expect("the region");
        assert_eq!((region.roi_type(), region.rect()), ("face", (8, 4, 16, 12)), "scaled with the picture");
        let time = made.meta::<gst::ReferenceTimestampMeta>().expect("the time");
        assert_eq!(time.timestamp(), gst::ClockTime::from_seconds(9));
    }
}

#[test]
fn sizes_and_formats_may_change_on_the_way() {
    let mut harness = harness("mem=16MiB");
    for (number, (format, width, height)) in [
        (VideoFormat::I420, 32, 16),
        (VideoFormat::I420, 19, 40),
        (VideoFormat::Bgrx, 19, 40),
        (VideoFormat::I420, 32, 16),
    ]
    .into_iter()
    .enumerate()
    {
        let info = info(format, width, height);
        harness.set_src_caps(caps(&info));
        for frame in 0..2 {
            let planes = planes(&info, number + frame);
            let made = harness.push_and_pull(buffer(&info, &planes, 0)).unwrap();
            let large = output_info(&harness);
            assert_eq!((large.width(), large.height()), (2 * width, 2 * height));
            assert!(samples(&large, &made) == expected(&info, &planes), "{format:?} {width}x{height}");
        }
    }
}

#[test]
fn the_end_and_flushes_pass() {
    let mut harness = harness("");
    let info = info(VideoFormat::Gray8, 20, 10);
    harness.set_src_caps(caps(&info));
    let planes = planes(&info, 5);
    harness.push_and_pull(buffer(&info, &planes, 0)).unwrap();
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(harness.push(buffer(&info, &planes, 0)), Err(gst::FlowError::Flushing));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    let made = harness.push_and_pull(buffer(&info, &planes, 0)).unwrap();
    assert!(samples(&output_info(&harness), &made) == expected(&info, &planes));
    assert!(harness.push_event(gst::event::Eos::new()));
    let mut last = None;
    while let Some(event) = harness.try_pull_event() {
        last = Some(event.type_());
    }
    assert_eq!(last, Some(gst::EventType::Eos));
    assert_eq!(harness.push(buffer(&info, &planes, 0)), Err(gst::FlowError::Eos));
}

/// A sink that is late says so, and frames that would be late are not made.
#[test]
fn late_frames_are_left_out() {
    let mut harness = harness("qos=true");
    let info = info(VideoFormat::Gray8, 20, 10);
    harness.set_src_caps(caps(&info));
    let frame = |number: u64| {
        let mut frame = buffer(&info, &planes(&info, 6), 0);
        frame.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * number));
        frame
    };
    harness.push_and_pull(frame(0)).unwrap();
    let late = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 50_000_000, gst::ClockTime::ZERO);
    assert!(harness.push_upstream_event(late.clone()));
    harness.push(frame(1)).unwrap();
    assert_eq!(harness.buffers_in_queue(), 0, "the frame of 40 ms comes before 50");
    harness.push(frame(2)).unwrap();
    assert_eq!(harness.buffers_in_queue(), 1);
    assert!(harness.pull().unwrap().flags().contains(gst::BufferFlags::DISCONT), "a frame is missing before");
    harness.element().unwrap().set_property("qos", false);
    assert!(harness.push_upstream_event(late));
    harness.push(frame(1)).unwrap();
    assert_eq!(harness.buffers_in_queue(), 1, "nobody asks for it");
}

#[test]
fn a_frames_time_is_told_as_latency() {
    let mut harness = harness("");
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(100));
    let info = info(VideoFormat::Gray8, 160, 120);
    harness.set_src_caps(caps(&info));
    harness.play();
    let bus = gst::Bus::new();
    harness.element().unwrap().set_bus(Some(&bus));
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(100)), "nothing is known yet");
    for _ in 0..2 {
        harness.push_and_pull(buffer(&info, &planes(&info, 7), 0)).unwrap();
    }
    let told = harness.query_latency().unwrap() - gst::ClockTime::from_mseconds(100);
    let stats = harness.element().unwrap().property::<gst::Structure>("stats");
    let last = gst::ClockTime::from_nseconds(stats.get::<u64>("last-time").unwrap());
    assert_eq!(told, gst::ClockTime::from_mseconds(last.nseconds().div_ceil(1_000_000)), "{stats}");
    let said = bus.pop_filtered(&[gst::MessageType::Latency]);
    assert!(said.is_some(), "whoever runs the pipeline must hear of it");
}

#[test]
fn properties_may_change_while_frames_pass() {
    let mut harness = harness("");
    let info = info(VideoFormat::Gray8, 64, 48);
    harness.set_src_caps(caps(&info));
    let (picture, element) = (planes(&info, 8), harness.element().unwrap());
    let mut frame = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            element.set_property_from_str(name, value);
        }
        samples(&info_of(64, 48), &harness.push_and_pull(buffer(&info, &picture, 0)).unwrap())
    };
    let both = frame("", None);
    assert!(both == expected(&info, &picture));
    for (name, value) in [("threads", "1"), ("mem", "2MiB"), ("level", "scalar")] {
        assert!(frame(name, Some(value)) == both, "{name} cannot be seen");
    }
    assert!(frame("branches", Some("cnn")) != both);
    assert!(frame("branches", Some("both")) == both);
    let stats = element.property::<gst::Structure>("stats");
    assert_eq!((stats.get::<u64>("frames"), stats.get::<u32>("threads")), (Ok(6), Ok(1)));
    assert_eq!((stats.get::<u64>("budget"), stats.get::<&str>("level")), (Ok(2 << 20), Ok("scalar")));
    assert!(stats.get::<u64>("memory").unwrap() <= 2 << 20);
}

fn info_of(width: u32, height: u32) -> VideoInfo {
    info(VideoFormat::Gray8, 2 * width, 2 * height)
}

/// The first error on a bus.
fn error(properties: &str) -> (glib::Error, String) {
    init();
    let text = format!(
        "videotestsrc num-buffers=2 ! video/x-raw, format=GRAY8, width=64, height=48 ! bifocal {properties} ! fakesink"
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().unwrap();
    let message =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error, gst::MessageType::Eos]);
    pipeline.set_state(gst::State::Null).unwrap();
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => (error.error(), error.error().message().to_string()),
        other => panic!("{properties}: {other:?}"),
    }
}

use gst::glib;

#[test]
fn errors_say_what_the_command_says() {
    for (properties, kind, words) in [
        ("model=ctnet", Some(gst::ResourceError::NotFound), "there is no model 'ctnet'; known are ctnet-tiny-x2"),
        ("model=/no/such.onnx", Some(gst::ResourceError::NotFound), "/no/such.onnx"),
        ("model=/etc/hostname", Some(gst::ResourceError::Settings), "/etc/hostname"),
        ("mem=much", Some(gst::ResourceError::Settings), "mem: 'much' is not an amount of memory"),
        (
            "mem=64k",
            Some(gst::ResourceError::NoSpaceLeft),
            "a budget of 64.0KiB is too small for this frame: the least that works is",
        ),
        (
            "level=mmx",
            Some(gst::ResourceError::Settings),
            "level 'mmx' is not available here; this processor has: scalar",
        ),
        ("effort=50", Some(gst::ResourceError::Settings), "effort is for branches=auto"),
    ] {
        let (error, text) = error(properties);
        assert!(text.contains(words), "{properties}: {text}");
        assert_eq!(error.kind::<gst::ResourceError>(), kind, "{properties}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
