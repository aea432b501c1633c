//! What is done to hostile bytes: one function for each kind of input. Tests feed them damage that is the same on every run,
//! `fuzz/` feeds them whatever finds new ways through the code. An error must be one line; a panic, or a result that is
//! not what the header says, is a bug.

#![allow(dead_code)] // no test file needs all of it

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Mutex;

use bifocal::internals::board::{Board, Config, Throttling, recognise};
use bifocal::internals::frame::{FrameFormat, Layout};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{
    Access, Asked, FrameSource, MOST_HEAD, MjpegDecoder, SinkUri, SourceUri, Y4mSource, open_stream,
};
use bifocal::{Engine, Level, Model, Options, PixelFormat};

/// Largest picture that is read to its end, in bytes; of larger ones a budget or a person would think twice.
const LARGEST: usize = 16 << 20;

#[track_caller]
fn one_line<T>(result: Result<T, impl std::fmt::Display>) -> Option<T> {
    result
        .map_err(|error| {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
        })
        .ok()
}

/// A picture of any format: did it hold?
pub fn picture(bytes: &[u8]) -> bool {
    let Some(mut source) = one_line(open_stream(Cursor::new(bytes.to_vec()), "x")) else { return false };
    let row_bytes = source.size().width * source.format().channels();
    let whole = row_bytes * source.size().height;
    if whole > LARGEST {
        return true;
    }
    let frames = source.metadata().animation.map_or(1, |animation| animation.frames as usize);
    for _ in 0..frames.min(20) {
        let mut given = 0;
        loop {
            match one_line(source.next_row()) {
                None => return false,
                Some(None) => break,
                Some(Some(row)) => {
                    assert_eq!(row.len(), row_bytes);
                    given += row.len();
                }
            }
        }
        assert_eq!(given, whole, "rows are missing without an error");
        match one_line(source.next_frame()) {
            None => return false,
            Some(more) if !more => break,
            _ => {}
        }
    }
    true
}

/// A frame of Motion JPEG of 48 x 32 pixels.
pub fn mjpeg(bytes: &[u8]) -> bool {
    let format = FrameFormat::picture(Size::new(48, 32), Layout::Yuv444);
    let mut frame = vec![0; format.bytes()];
    one_line(MjpegDecoder::new(format).decode(bytes, &mut frame)).is_some()
}

/// What the driver of a camera answers, and a frame.
pub fn v4l2(bytes: &[u8]) -> bool {
    one_line(bifocal::internals::io::frame_of_replies(bytes, LARGEST)).flatten().is_some()
}

/// A Y4M video.
pub fn y4m(bytes: &[u8]) -> bool {
    let Some(mut source) = one_line(Y4mSource::open(bytes, "x")) else { return false };
    let needed = source.clip().format.bytes();
    if needed > LARGEST {
        return true;
    }
    let mut frame = vec![0; needed];
    loop {
        match one_line(source.read(&mut frame)) {
            None => return source.pass_over().is_some(),
            Some(arrival) if !arrival.is_frame() => return true,
            _ => {}
        }
    }
}

/// A URI, as a source and as a sink.
pub fn uri(bytes: &[u8]) -> bool {
    // The program makes one line of whatever it says; the URI in it is as it came.
    let text = String::from_utf8_lossy(bytes).replace(['\n', '\r'], " ");
    let (source, sink) = (text.parse::<SourceUri>(), text.parse::<SinkUri>());
    one_line(source).is_some() | one_line(sink).is_some()
}

/// The head of a request to the page, with a token and without: nobody gets in without the token.
pub fn request(bytes: &[u8]) -> bool {
    const TOKEN: &str = "0123456789abcdef";
    let head = &bytes[..bytes.len().min(MOST_HEAD)];
    let granted = |token| {
        let access = Access::new(8080, token).expect("a access");
        let asked = Asked::of(head, &access);
        if let Asked::Granted { .. } = asked {
            assert_eq!(Asked::of(bytes, &access), asked, "what comes behind the head changes nothing");
        }
        matches!(asked, Asked::Granted { .. })
    };
    let with = granted(Some(TOKEN));
    assert!(!with || head.windows(TOKEN.len()).any(|piece| piece == TOKEN.as_bytes()), "in without the token");
    granted(None) | with
}

/// A config, and a board's file.
pub fn toml(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    one_line(Config::parse("c", &text)).is_some() | one_line(Board::parse("b", &text)).is_some()
}

/// The names in a device tree, the model in it, and the word of a firmware.
pub fn device_tree(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let _ = Throttling::of_firmware(&text);
    recognise(bytes, "").is_some() | recognise(b"", &text).is_some()
}

/// A model: read, planned and run on a few pixels.
pub fn model(bytes: &[u8]) -> bool {
    let Some(model) = one_line(Model::parse("x", bytes)) else { return false };
    let options = Options::new(Size::new(5, 3), PixelFormat::Gray8).with_level(Level::SCALAR);
    let Some(mut engine) = one_line(Engine::prepare(&model, &options)) else { return false };
    for row in [[0; 5], [90; 5], [255; 5]] {
        if engine.push(&row, |_| Ok::<(), ()>(())).is_err() {
            return false;
        }
    }
    true
}

/// Sound bytes for a while, then a mistake.
struct Mistaken<'a>(&'a [u8]);

impl Read for Mistaken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        assert!(!self.0.is_empty(), "a decoder that makes mistakes");
        self.0.read(buffer)
    }
}

/// Reads a picture whose decoder panics when it has read what is given: the error, which the counter of fenced panics must see.
pub fn mistake_behind(bytes: &'static [u8]) -> Option<String> {
    let mut picture = match open_stream(Mistaken(bytes), "x") {
        Ok(picture) => picture,
        Err(error) => return Some(error.to_string()),
    };
    loop {
        match picture.next_row() {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error.to_string()),
        }
    }
}

/// Panics that were fenced, by the crate that they came from.
pub static FENCED: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Panics inside decoders of other crates are errors of the file, and silent as in the program.
pub fn silence_fenced_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !bifocal::internals::io::decoding() && !bifocal::internals::model::panic_is_handled() {
            default(info);
            return;
        }
        // The folder of a crate in the registry, or of the standard library.
        let file = info.location().map_or("somewhere", |location| location.file());
        let folder = file.rsplit_once("/src/").map_or(file, |(folder, _)| folder).rsplit('/').next().unwrap_or(file);
        if let Ok(mut crates) = FENCED.lock() {
            *crates.entry(folder.to_string()).or_insert(0) += 1;
        }
    }));
}
