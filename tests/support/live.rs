//! What the tests of `live` share: frames, runs, and the bytes to expect.

#![allow(dead_code)] // no test file needs all of it

use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bifocal::internals::engine::{self, Engine};
use bifocal::internals::frame::{FrameFormat, PixelFormat, PlaneFilter};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{Clip, FrameSink, FrameSource, Shown, SourceUri, WriteError, Y4mSource};
use bifocal::internals::kernels::Level;
use bifocal::internals::live::{self, DropPolicy, OnError, Options, Stats, Upscaler, Wish};
use bifocal::internals::model::Model;

/// The counters, the clock and the processors are everybody's: one test at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub const OPTIONS: Options = Options {
    queue: 1,
    drop: DropPolicy::Never,
    compare: false,
    still: None,
    on_error: OnError::Stop,
    frames: None,
    duration: None,
};

pub fn prepare(options: &Options, from: FrameFormat, to: FrameFormat) -> (Upscaler, usize) {
    let model = Model::embedded().unwrap();
    let beside = live::bytes_beside_engine(options, &from, &to);
    let mut wanted = engine::Options::new(from.size, live::engine_format(&from));
    wanted.still = options.still;
    let engine = live::within(&wanted, beside, |o| Engine::prepare(&model, o)).unwrap();
    let said = engine.report().total_bytes + beside;
    (Upscaler::new(engine, from, to, options.compare), said)
}

pub fn run(options: &Options, source: &str, sink: Box<dyn FrameSink>) -> Stats {
    let source = source.parse::<SourceUri>().unwrap().open().unwrap();
    let from = source.clip().format;
    let (upscaler, _) = prepare(options, from, FrameFormat { size: from.size.scaled(2), ..from });
    live::run(options, upscaler, source, sink, |_| Wish::Run).unwrap()
}

/// Looks at each frame; keeps nothing else.
pub struct Look<F>(pub F, pub Duration);

impl<F: FnMut(&[u8]) + Send> FrameSink for Look<F> {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        std::thread::sleep(self.1);
        (self.0)(frame);
        Ok(Shown::Now)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

pub fn bifocal(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn y4m(kind: &str, format: &FrameFormat, frames: usize) -> Vec<u8> {
    let Size { width, height } = format.size;
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C{kind} XCOLORRANGE=LIMITED\n").into_bytes();
    let mut grain = 0x1234_5677_u32;
    for frame in 0..frames {
        bytes.extend(b"FRAME\n");
        for i in 0..format.bytes() {
            grain ^= grain << 13;
            grain ^= grain >> 17;
            grain ^= grain << 5;
            bytes.push((i % width * 3 + i / width * 2 + frame * 9 + (grain & 15) as usize) as u8);
        }
    }
    bytes
}

pub fn frames_of(bytes: &[u8]) -> (Clip, Vec<Vec<u8>>) {
    let mut source = Y4mSource::open(bytes, "x").unwrap();
    let clip = *source.clip();
    let mut frame = vec![0; clip.format.bytes()];
    let mut frames = Vec::new();
    while source.read(&mut frame).unwrap().is_frame() {
        frames.push(frame.clone());
    }
    (clip, frames)
}

/// The frame as the engine and the filter make it, without `live`.
pub fn expected(model: &Model, from: &FrameFormat, frame: &[u8]) -> Vec<u8> {
    let mut engine = Engine::prepare(model, &engine::Options::new(from.size, PixelFormat::Gray8)).unwrap();
    let [luma, cb, cr] = from.planes(frame);
    let mut out = Vec::new();
    for row in luma.chunks(from.size.width) {
        engine
            .push(row, |row| {
                out.extend_from_slice(row);
                Ok::<(), ()>(())
            })
            .unwrap();
    }
    if from.layout.has_chroma() {
        let to = FrameFormat { size: from.size.scaled(2), ..*from };
        let (across, down) = from.chroma_axes(from.layout, 2);
        let mut filter = PlaneFilter::new(1, from.chroma(), to.chroma(), across, down, Level::SCALAR);
        for plane in [cb, cr] {
            let mut large = vec![0; to.chroma().area()];
            filter.plane(plane, &mut large);
            out.extend(large);
        }
    }
    out
}
