//! Damaged URIs and Motion JPEG, by the thousand: a value or an error in one line, never a panic.

#[path = "support/dice.rs"]
mod dice;

use bifocal::internals::frame::{FrameFormat, Layout};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{MjpegDecoder, SinkUri, SourceUri};
use dice::Dice;

const URIS: [&str; 13] = [
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

#[test]
fn uris() {
    let pieces = ["://", "?", "&", "=", "%05d", "%", "/", "@", "x", "-1", "99999999999999999999", "1e308", "ü", "\0"];
    let mut dice = Dice(7);
    let (mut sound, mut wrong) = (0, 0);
    for uri in URIS {
        assert!(read(uri), "{uri}");
        for _ in 0..4000 {
            let mut damaged: Vec<char> = uri.chars().collect();
            for _ in 0..=dice.roll(3) {
                let at = dice.roll(damaged.len() + 1);
                match dice.roll(3) {
                    0 if at < damaged.len() => drop(damaged.remove(at)),
                    1 => damaged.truncate(at.max(1)),
                    _ => drop(damaged.splice(at..at, pieces[dice.roll(pieces.len())].chars())),
                }
            }
            let held = read(&damaged.into_iter().collect::<String>());
            *(if held { &mut sound } else { &mut wrong }) += 1;
        }
    }
    assert!(sound > 1000 && wrong > 1000, "{sound} {wrong}");
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
    let mut dice = Dice(11);
    let mut refused = 0;
    for round in 0..6000 {
        let mut damaged = whole.clone();
        for _ in 0..=round % 5 {
            let at = dice.roll(damaged.len());
            damaged[at] = dice.roll(256) as u8;
        }
        damaged.truncate(if round % 2 == 0 { damaged.len() } else { dice.roll(damaged.len()) });
        if let Err(error) = decoder.decode(&damaged, &mut frame) {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
            refused += 1;
        }
    }
    assert!(refused > 1000, "{refused}");
    // Whatever came before leaves nothing behind.
    decoder.decode(&whole, &mut frame).unwrap();
    assert!(frame == sound);
}
