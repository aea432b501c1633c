//! What the element does when GStreamer calls.
//!
//! PREPARE is in `set_info`, and before a frame where a property has changed; FRAME is in `transform_frame`.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bifocal::{Engine, Model, ModelError, PrepareError};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::BaseTransformMode;
use gst_base::subclass::prelude::*;
use gst_video::subclass::prelude::*;
use gst_video::video_meta::{self, VideoMetaTransformScale};
use gst_video::{VideoFrameRef, VideoInfo};

use crate::caps::{self, Way};
use crate::format;
use crate::latency::Latency;
use crate::settings::{Change, Settings};

static CATEGORY: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("bifocal", gst::DebugColorFlags::empty(), Some("Bifocal upscaler")));

/// What was measured and planned, for the property `stats`.
#[derive(Debug, Default)]
struct Stats {
    frames: u64,
    time: std::time::Duration,
    last: std::time::Duration,
    engine: Option<Planned>,
}

/// Of an engine's report what concerns whoever runs it.
#[derive(Debug)]
struct Planned {
    memory: u64,
    budget: u64,
    threads: u32,
    level: &'static str,
    work: f64,
}

/// What runs: a model from start to stop, an engine for the frames at hand.
struct Run {
    model: Model,
    engine: Option<Engine>,
}

#[derive(Default)]
pub struct Bifocal {
    settings: Mutex<Settings>,
    /// Has a property changed that the engine was prepared with?
    changed: AtomicBool,
    /// Held while a frame is made; what others ask for is elsewhere.
    run: Mutex<Option<Run>>,
    /// Of the model; 0 without.
    scale: AtomicI32,
    infos: Mutex<Option<(VideoInfo, VideoInfo)>>,
    latency: Mutex<Latency>,
    stats: Mutex<Stats>,
}

/// A panic that was caught elsewhere leaves nothing half-done that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line, whatever the libraries below say.
fn line(error: impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[glib::object_subclass]
impl ObjectSubclass for Bifocal {
    const NAME: &'static str = "GstBifocal";
    type Type = super::Bifocal;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for Bifocal {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut all = Settings::specs();
            let stats = "Frames made, the mean time of a frame and that of the last in nanoseconds, bytes of memory that the engine \
                 takes and may take, threads, kernels, and the share of all multiply-adds that the last frame took";
            all.push(
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb(stats)
                    .read_only()
                    .build(),
            );
            all
        });
        &PROPERTIES
    }

    fn set_property(&self, _: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        if lock(&self.settings).set(spec.name(), value) == Some(Change::Engine) {
            self.changed.store(true, Ordering::Release);
        }
    }

    fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
        let own = lock(&self.settings).get(spec.name());
        own.unwrap_or_else(|| self.statistics().to_value())
    }
}

impl GstObjectImpl for Bifocal {}

impl ElementImpl for Bifocal {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Bifocal upscaler",
                "Filter/Converter/Video/Scaler",
                "Upscales video with a small int8 network, inside a fixed memory budget",
                "The Bifocal project",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction, most| {
                let caps = gst_video::VideoCapsBuilder::new()
                    .format_list(format::formats())
                    .width_range(1..=most)
                    .height_range(1..=most)
                    .build();
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
            };
            let pads = [
                template("sink", gst::PadDirection::Sink, caps::MOST),
                template("src", gst::PadDirection::Src, i32::MAX),
            ];
            pads.into_iter().flatten().collect()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for Bifocal {
    const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let name = lock(&self.settings).model.clone();
        let model = load(name.as_deref())?;
        let metadata = model.metadata();
        gst::info!(CATEGORY, imp = self, "model {}, scale {}", metadata.name, metadata.scale);
        self.scale.store(metadata.scale as i32, Ordering::Release);
        *lock(&self.run) = Some(Run { model, engine: None });
        *lock(&self.stats) = Stats::default();
        *lock(&self.latency) = Latency::default();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.run) = None;
        self.scale.store(0, Ordering::Release);
        *lock(&self.infos) = None;
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let way = match (self.scale.load(Ordering::Acquire), direction) {
            (0, _) => Way::Unknown,
            (scale, gst::PadDirection::Sink) => Way::Up(scale),
            (scale, _) => Way::Down(scale),
        };
        let other = caps::transform(caps, way);
        gst::debug!(CATEGORY, imp = self, "{caps} at {direction:?} is {other} on the other side");
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }

    fn accept_caps(&self, direction: gst::PadDirection, caps: &gst::Caps) -> bool {
        let interlaced = VideoInfo::from_caps(caps).is_ok_and(|info| info.is_interlaced());
        !interlaced && self.parent_accept_caps(direction, caps)
    }

    /// Padded buffers have sizes that say nothing.
    fn transform_size(&self, _: gst::PadDirection, _: &gst::Caps, _: usize, to: &gst::Caps) -> Option<usize> {
        VideoInfo::from_caps(to).ok().map(|info| info.size())
    }

    /// What GStreamer's own scalers do: all is kept but what is about the size, which is scaled where it knows how.
    fn transform_meta<'a>(
        &self,
        to: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        _: &'a gst::BufferRef,
    ) -> bool {
        use video_meta::tags::{Orientation, Size, Video};
        let tags = meta.tags();
        let known = [meta.has_tag::<Video>(), meta.has_tag::<Size>(), meta.has_tag::<Orientation>()];
        if tags.len() > known.iter().filter(|has| **has).count() {
            return false;
        }
        if !known[1] {
            return true;
        }
        if let Some((from_info, to_info)) = &*lock(&self.infos) {
            let _ = meta.transform(to, &VideoMetaTransformScale::new(from_info, to_info));
        }
        false
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let done = BaseTransformImplExt::parent_query(self, direction, query);
        if let (true, gst::PadDirection::Src, gst::QueryViewMut::Latency(latency)) = (done, direction, query.view_mut())
        {
            let own = gst::ClockTime::from_nseconds(lock(&self.latency).told().as_nanos() as u64);
            let (live, least, most) = latency.result();
            latency.set(live, least + own, most.map(|most| most + own));
        }
        done
    }
}

impl VideoFilterImpl for Bifocal {
    fn set_info(
        &self,
        _: &gst::Caps,
        from: &VideoInfo,
        _: &gst::Caps,
        to: &VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        *lock(&self.infos) = Some((from.clone(), to.clone()));
        self.prepare(from).map_err(|message| {
            let error = gst::loggable_error!(CATEGORY, "{:?}", message);
            self.obj().post_error_message(message);
            error
        })
    }

    fn transform_frame(
        &self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let done = self.make(input, output);
        match done {
            Ok(false) => {}
            // Somebody may be listening who asks for it at once: nothing is locked here.
            Ok(true) => {
                let message = gst::message::Latency::builder().src(&*self.obj()).build();
                let _ = self.obj().post_message(message);
            }
            Err(message) => {
                self.obj().post_error_message(message);
                return Err(gst::FlowError::Error);
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

impl Bifocal {
    /// PREPARE, with the properties of now. The engine of before goes first: the budget is for one.
    fn prepare(&self, info: &VideoInfo) -> Result<(), gst::ErrorMessage> {
        self.changed.store(false, Ordering::Release);
        let settings = lock(&self.settings).clone();
        let mut run = lock(&self.run);
        let run =
            run.as_mut().ok_or_else(|| gst::error_msg!(gst::CoreError::StateChange, ("there is no model yet")))?;
        run.engine = None;
        let wrong = |text: String| gst::error_msg!(gst::StreamError::WrongType, ("{text}"));
        if info.is_interlaced() {
            return Err(wrong("interlaced frames are not supported; put deinterlace before".into()));
        }
        let options = format::options(info).map_err(wrong)?;
        let options =
            settings.apply(options).map_err(|text| gst::error_msg!(gst::ResourceError::Settings, ("{text}")))?;
        let prepared = settings.threads().prepare(&options, |options| Engine::prepare(&run.model, options));
        let (_, engine) = prepared.map_err(refusal)?;
        let report = engine.report();
        gst::info!(
            CATEGORY,
            imp = self,
            "{}x{} to {}, {} KiB, {} threads, {}",
            info.width(),
            info.height(),
            report.output,
            report.total_bytes >> 10,
            report.threads,
            report.level
        );
        let planned = Planned {
            memory: report.total_bytes as u64,
            budget: report.budget_bytes as u64,
            threads: report.threads as u32,
            level: report.level,
            work: 1.0,
        };
        lock(&self.stats).engine = Some(planned);
        lock(&self.latency).restart();
        run.engine = Some(engine);
        Ok(())
    }

    /// FRAME. Is there something new to say about latency?
    fn make(
        &self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<bool, gst::ErrorMessage> {
        if self.changed.load(Ordering::Acquire)
            && let Some((info, _)) = lock(&self.infos).clone()
        {
            self.prepare(&info)?;
        }
        let began = Instant::now();
        let mut run = lock(&self.run);
        let engine = run.as_mut().and_then(|run| run.engine.as_mut());
        let engine = engine.ok_or_else(|| gst::error_msg!(gst::CoreError::Negotiation, ("a frame before its caps")))?;
        let done = format::with_planes(input, output, |input, output| engine.upscale(input, output));
        done.map_err(|error| gst::error_msg!(gst::StreamError::Failed, ("{}", line(error))))?;
        let (time, work) = (began.elapsed(), engine.macs_share());
        drop(run);
        let mut stats = lock(&self.stats);
        (stats.frames, stats.time, stats.last) = (stats.frames + 1, stats.time + time, time);
        if let Some(engine) = &mut stats.engine {
            engine.work = work;
        }
        drop(stats);
        Ok(lock(&self.latency).add(time))
    }

    fn statistics(&self) -> gst::Structure {
        let stats = lock(&self.stats);
        let mean = stats.time.as_nanos() as u64 / stats.frames.max(1);
        let structure = gst::Structure::builder("application/x-bifocal-stats")
            .field("frames", stats.frames)
            .field("mean-time", mean)
            .field("last-time", stats.last.as_nanos() as u64);
        match &stats.engine {
            None => structure.build(),
            Some(engine) => structure
                .field("memory", engine.memory)
                .field("budget", engine.budget)
                .field("threads", engine.threads)
                .field("level", engine.level)
                .field("work", engine.work)
                .build(),
        }
    }
}

/// A model by name or path; the default without either.
fn load(name: Option<&str>) -> Result<Model, gst::ErrorMessage> {
    let model = name.map_or_else(Model::embedded, |name| Model::find(name.as_ref()));
    model.map_err(|error| match &error {
        ModelError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{}", line(&error)))
        }
        ModelError::Unknown { .. } => gst::error_msg!(gst::ResourceError::NotFound, ("{}", line(&error))),
        ModelError::Read { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{}", line(&error))),
        _ => gst::error_msg!(gst::ResourceError::Settings, ("{}", line(&error))),
    })
}

/// Why PREPARE failed, in GStreamer's terms.
fn refusal(error: PrepareError) -> gst::ErrorMessage {
    let text = line(&error);
    match error {
        PrepareError::Budget { .. } | PrepareError::Memory(_) => {
            gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{text}"))
        }
        PrepareError::Spawn(_) => gst::error_msg!(gst::ResourceError::Failed, ("{text}")),
        PrepareError::Size(_) => gst::error_msg!(gst::StreamError::WrongType, ("{text}")),
        _ => gst::error_msg!(gst::ResourceError::Settings, ("{text}")),
    }
}
