//! Damaged URIs and Motion JPEG, by the thousand: a value or an error in one line, never a panic.

#[path = "support/cases.rs"]
mod cases;

use std::cell::{Cell, RefCell};

use bifocal::internals::frame::{FrameFormat, Layout};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{MjpegDecoder, SinkUri, SourceUri};
use cases::{cut, damaged, each, put};
use proptest::prelude::*;
use proptest::sample::{Index, select};

const URIS: [&str; 14] = [
    "v4l2:///dev/video0?width=640&height=360&fps=30000/1001&format=auto&input=1&matrix=bt709&range=full",
    "test://bars?width=320&height=180&fps=29.97&format=yuv422p&frames=10",
    "file://frames/%05d.png?start=7&fps=25",
    "-?format=nv12&width=640&height=360",
    "file://clip.y4m",
    "csi://1?width=640&height=360&fps=30000/1001&range=full&matrix=bt601&stride=640",
    "csi://0?width=320&height=240&command=cat frames.yuv | tee copy && echo '100%'",
    "drm://card0/HDMI-A-1?mode=1280x720@60&fit=contain&format=rg16",
    "v4l2:///dev/video10",
    "file://out/%05d.png",
    "-?format=yuv420p",
    "null://?delay=20ms",
    "http://0.0.0.0:8080/?token=0123456789abcdef&viewers=2&quality=90",
    "spi://0.1?panel=st7789&width=240&height=240&offset=0,80&dc=24&reset=GPIO25&backlight=18&chip=gpiochip0&rotate=90&speed=40000000&fit=contain&order=bgr&invert=on&mirror=off",
];

/// Both readings of a URI; `true` if one of them holds.
fn read(uri: &str) -> bool {
    let source = uri.parse::<SourceUri>().map(drop).map_err(|error| error.to_string());
    let sink = uri.parse::<SinkUri>().map(drop).map_err(|error| error.to_string());
    for message in [&source, &sink].into_iter().filter_map(|result| result.as_ref().err()) {
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    }
    source.is_ok() || sink.is_ok()
}

/// Damage to a URI.
#[derive(Clone, Debug)]
enum Edit {
    Remove(Index),
    Cut(Index),
    Insert(Index, &'static str),
}

const PIECES: &[&str] =
    &["://", "?", "&", "=", "%05d", "%", "/", "@", "x", "-1", "99999999999999999999", "1e308", "ü", "\0"];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let insert = (at(), select(PIECES)).prop_map(|(at, piece)| Edit::Insert(at, piece));
    prop::collection::vec(prop_oneof![at().prop_map(Edit::Remove), at().prop_map(Edit::Cut), insert], 1..=3)
}

fn edited(uri: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = uri.chars().collect();
    for edit in edits {
        match edit {
            Edit::Remove(at) if !chars.is_empty() => drop(chars.remove(at.index(chars.len()))),
            Edit::Remove(_) => {}
            Edit::Cut(at) => chars.truncate(at.index(chars.len() + 1).max(1)),
            Edit::Insert(at, piece) => {
                let at = at.index(chars.len() + 1);
                drop(chars.splice(at..at, piece.chars()));
            }
        }
    }
    chars.into_iter().collect()
}

#[test]
fn uris() {
    let (sound, wrong) = (Cell::new(0), Cell::new(0));
    for uri in URIS {
        assert!(read(uri), "{uri}");
    }
    each(50_000, (select(&URIS[..]), edits()), |(uri, edits)| {
        let count = if read(&edited(uri, &edits)) { &sound } else { &wrong };
        count.set(count.get() + 1);
    });
    assert!(sound.get() > 1000 && wrong.get() > 1000, "{sound:?} {wrong:?}");
}

#[test]
fn motion_jpeg() {
    let (width, height) = (48, 32);
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, 90]));
    let mut whole = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut whole, 80).encode_image(&picture).unwrap();
    let format = FrameFormat::picture(Size::new(width as usize, height as usize), Layout::Yuv444);
    let mut frame = vec![0; format.bytes()];
    let mut decoder = MjpegDecoder::new(format);
    decoder.decode(&whole, &mut frame).unwrap();
    let sound = frame.clone();
    let decoder = RefCell::new((decoder, frame));
    let refused = Cell::new(0);
    let damage = (prop::collection::vec(put(any::<u8>()), 1..=5), prop::option::of(cut()));
    each(6000, damage, |(mut damage, cut)| {
        damage.extend(cut);
        let (decoder, frame) = &mut *decoder.borrow_mut();
        if let Err(error) = decoder.decode(&damaged(&whole, usize::MAX, &damage), frame) {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
            refused.set(refused.get() + 1);
        }
    });
    assert!(refused.get() > 1000, "{refused:?}");
    let (mut decoder, mut frame) = decoder.into_inner();
    // Whatever came before leaves nothing behind.
    decoder.decode(&whole, &mut frame).unwrap();
    assert!(frame == sound);
}
