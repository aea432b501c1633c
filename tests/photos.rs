//! What photographs keep: bits, resolution, profiles, times of animations, and colour at transparent edges. ffmpeg and Pillow
//! judge what goes in and out; where they are missing, that is said.

#[path = "support/originals.rs"]
mod originals;
#[path = "support/scope.rs"]
mod scope;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use image::{DynamicImage, ImageBuffer};

fn upscale(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.arg("upscale").args(args).env_remove("RUST_LOG").stdin(Stdio::null()).current_dir(folder);
    command.output().unwrap()
}

#[track_caller]
fn works(folder: &Path, args: &[&str]) -> String {
    let output = upscale(folder, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

#[track_caller]
fn fails(folder: &Path, args: &[&str], code: i32, reason: &str) {
    let output = upscale(folder, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(reason), "{said}");
}

const SIZE: (u32, u32) = (96, 24);

/// A ramp of 23 steps of 16 bits to a pixel: in 8 bits, steps of eleven pixels.
fn ramp(x: u32, y: u32) -> u16 {
    (20_000 + 23 * x + 5 * y) as u16
}

fn ramps() -> Vec<(&'static str, DynamicImage)> {
    let (w, h) = SIZE;
    vec![
        ("grey", ImageBuffer::from_fn(w, h, |x, y| image::Luma([ramp(x, y)])).into()),
        ("colour", ImageBuffer::from_fn(w, h, |x, y| image::Rgb([ramp(x, y), ramp(x, y) / 2, 40_000])).into()),
        (
            "alpha",
            ImageBuffer::from_fn(w, h, |x, y| image::Rgba([ramp(x, y), 9_000, ramp(x, y) / 2, 65_535 - ramp(x, y)]))
                .into(),
        ),
        ("grey-alpha", ImageBuffer::from_fn(w, h, |x, y| image::LumaA([ramp(x, y), 65_535 - ramp(x, y)])).into()),
    ]
}

/// The samples of a picture in 16 bits, and how many there are to a pixel.
fn samples(picture: &DynamicImage) -> (Vec<u16>, usize) {
    let channels = usize::from(picture.color().channel_count());
    assert_eq!(usize::from(picture.color().bytes_per_pixel()), 2 * channels, "16 bits: {:?}", picture.color());
    let bytes = picture.as_bytes().chunks_exact(2);
    (bytes.map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect(), channels)
}

#[test]
fn sixteen_bits_go_through_and_ramps_have_no_steps() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (name, picture) in ramps() {
        for extension in ["png", "tif", "ppm"] {
            if (extension == "ppm" && picture.color().has_alpha()) || (extension == "tif" && name == "grey-alpha") {
                continue;
            }
            let (input, output) = (format!("{name}.{extension}"), format!("{name}-large.{extension}"));
            picture.save(at.join(&input)).unwrap();
            let said = works(at, &[&input, &output]);
            assert!(!said.contains("rounded"), "{said}");
            let made = image::open(at.join(&output)).unwrap();
            let (made, channels) = samples(&made);
            let (given, given_channels) = samples(&picture);
            let width = 2 * SIZE.0 as usize * channels;
            assert_eq!(made.len(), width * 2 * SIZE.1 as usize);
            for (y, row) in made.chunks(width).enumerate().skip(8).take(2 * SIZE.1 as usize - 16) {
                for channel in 0..channels {
                    // Grey may have become colour on the way.
                    let source = if channels == given_channels { channel } else { 0 };
                    let value = |x: usize| f64::from(row[x * channels + channel]);
                    for x in 24..2 * SIZE.0 as usize - 24 {
                        let at =
                            |x: usize, y: usize| f64::from(given[(y * SIZE.0 as usize + x) * given_channels + source]);
                        let ideal =
                            (at(x / 2, y / 2) * 3.0 + at(if x % 2 == 0 { x / 2 - 1 } else { x / 2 + 1 }, y / 2)) / 4.0;
                        let down = (at(0, if y % 2 == 0 { y / 2 - 1 } else { y / 2 + 1 }) - at(0, y / 2)) / 4.0;
                        // A level of 8 bits is 257.
                        let off = (value(x) - ideal - down).abs();
                        assert!(off <= 64.0, "{output}: channel {channel} at {x}, {y} is {off} off");
                    }
                }
            }
        }
    }
}

#[test]
fn sixteen_bits_hold_what_eight_would() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/towers.png");
    let part = image::open(file).unwrap().crop_imm(40, 30, 80, 60).into_rgb8();
    part.save(at.join("8.png")).unwrap();
    DynamicImage::from(part).into_rgb16().save(at.join("16.png")).unwrap();
    works(at, &["8.png", "8-large.png"]);
    works(at, &["16.png", "16-large.png"]);
    // Once with tiles, once with strips: the same.
    works(at, &["--tile", "32", "16.png", "16-tiles.png"]);
    assert!(fs::read(at.join("16-large.png")).unwrap() == fs::read(at.join("16-tiles.png")).unwrap());
    let eight = image::open(at.join("8-large.png")).unwrap().into_rgb8();
    let sixteen = image::open(at.join("16-large.png")).unwrap().into_rgb16();
    let far = eight.iter().zip(sixteen.iter()).map(|(a, b)| (f64::from(*a) - f64::from(*b) / 257.0).abs());
    let (sum, most) = far.fold((0.0, 0.0f64), |(sum, most), d| (sum + d, most.max(d)));
    // Up to a level is taken for rounding, and half of one is.
    assert!(most <= 1.51 && sum / (eight.len() as f64) < 0.3, "{most}, mean {}", sum / eight.len() as f64);
    let said = works(at, &["16.png", "16.jpg"]);
    assert!(said.contains("16 bits"), "{said}");
}

fn png_with_density(path: &Path) {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path).unwrap()), 8, 6);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: 11_811, yppu: 5_906, unit: png::Unit::Meter }));
    encoder.write_header().unwrap().write_image_data(&[90; 144]).unwrap();
}

fn pixel_dims(path: &Path) -> (u32, u32) {
    let decoder = png::Decoder::new(std::io::BufReader::new(File::open(path).unwrap()));
    let dims = decoder.read_info().unwrap().info().pixel_dims.expect("a resolution");
    assert_eq!(dims.unit, png::Unit::Meter);
    (dims.xppu, dims.yppu)
}

#[test]
fn the_size_on_paper_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    png_with_density(&at.join("in.png"));
    works(at, &["in.png", "out.png"]);
    assert_eq!(pixel_dims(&at.join("out.png")), (23_622, 11_812));
    // 300 and 150 dots to the inch become 600 and 300, then 1200 and 600, through formats that count in inches.
    for through in ["through.jpg", "through.tif"] {
        works(at, &["in.png", through]);
        works(at, &[through, "back.png"]);
        let (across, down) = pixel_dims(&at.join("back.png"));
        assert!(across.abs_diff(47_244) <= 20 && down.abs_diff(23_622) <= 20, "{through}: {across}, {down}");
    }
    let jpeg = fs::read(at.join("through.jpg")).unwrap();
    assert_eq!(jpeg[13..18], [1, 600u16.to_be_bytes()[0], 600u16.to_be_bytes()[1], 1, 44]);
}

/// Frames that change a part of a 12 x 8 canvas: a red ground, a blue square that goes again, a green one that stays.
fn animation(path: &Path, frames: usize) {
    let mut encoder =
        gif::Encoder::new(File::create(path).unwrap(), 12, 8, &[255, 0, 0, 0, 0, 255, 0, 255, 0]).unwrap();
    encoder.set_repeat(gif::Repeat::Finite(4)).unwrap();
    let part = |colour: u8, left: u16, side: u16, delay: u16, dispose| gif::Frame {
        width: side,
        height: side.min(8),
        left,
        delay,
        dispose,
        buffer: vec![colour; usize::from(side) * usize::from(side.min(8))].into(),
        ..gif::Frame::default()
    };
    let all = [
        part(0, 0, 12, 5, gif::DisposalMethod::Keep),
        part(1, 0, 4, 7, gif::DisposalMethod::Previous),
        part(2, 8, 4, 30, gif::DisposalMethod::Keep),
    ];
    all[..frames].iter().for_each(|frame| encoder.write_frame(frame).unwrap());
}

/// Delays in hundredths, and the colours at the upper left and the upper right of each picture.
type Seen = (Vec<u32>, Vec<[[u8; 3]; 2]>);

fn played(path: &Path) -> Seen {
    let file = std::io::BufReader::new(File::open(path).unwrap());
    let (mut times, mut colours) = (Vec::new(), Vec::new());
    let mut see = |hundredths: u32, rgb: &dyn Fn(usize) -> [u8; 3]| {
        times.push(hundredths);
        // Ours are whole pictures.
        colours.push([24 + 1, 24 + 22].map(|at| rgb(at).map(|v| if v > 127 { 255 } else { 0 })));
    };
    if path.extension().is_some_and(|e| e == "gif") {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(file).unwrap();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            assert_eq!((frame.width, frame.height), (24, 16));
            assert!(frame.buffer.chunks(4).all(|pixel| pixel[3] == 255));
            see(frame.delay.into(), &|at| [0, 1, 2].map(|c| frame.buffer[4 * at + c]));
        }
    } else {
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        for _ in 0..reader.info().animation_control.unwrap().num_frames {
            let info = reader.next_frame(&mut pixels).unwrap();
            assert_eq!((info.width, info.height, info.color_type), (24, 16, png::ColorType::Rgb));
            let frame = reader.info().frame_control.unwrap();
            let hundredths = 100 * u32::from(frame.delay_num) / u32::from(frame.delay_den);
            see(hundredths, &|at| [0, 1, 2].map(|c| pixels[3 * at + c]));
        }
    }
    (times, colours)
}

#[test]
fn animations_keep_their_pictures_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    animation(&at.join("in.gif"), 3);
    let (red, green, blue) = ([255, 0, 0], [0, 255, 0], [0, 0, 255]);
    let wanted = (vec![5, 7, 30], vec![[red, red], [blue, red], [red, green]]);
    works(at, &["in.gif", "out.gif"]);
    assert_eq!(played(&at.join("out.gif")), wanted);
    works(at, &["in.gif", "out.png"]);
    assert_eq!(played(&at.join("out.png")), wanted);
    assert_eq!(
        gif::Decoder::new(File::open(at.join("out.gif")).unwrap())
            .map(|mut d| {
                d.next_frame_info().unwrap();
                d.repeat()
            })
            .unwrap(),
        gif::Repeat::Finite(4)
    );
    // From an animated PNG to both, and from a pipe.
    let large = |name: &str| {
        let decoder = png::Decoder::new(std::io::BufReader::new(File::open(at.join(name)).unwrap()));
        decoder.read_info().unwrap().info().animation_control.unwrap()
    };
    assert_eq!((large("out.png").num_frames, large("out.png").num_plays), (3, 5));
    works(at, &["out.png", "again.png"]);
    assert_eq!(large("again.png").num_plays, 5);
    works(at, &["out.png", "again.gif"]);
    let piped = Command::new(env!("CARGO_BIN_EXE_bifocal"))
        .args(["upscale", "-", "piped.png"])
        .stdin(File::open(at.join("out.png")).unwrap())
        .current_dir(at)
        .status()
        .unwrap();
    assert!(piped.success() && fs::read(at.join("piped.png")).unwrap() == fs::read(at.join("again.png")).unwrap());
    for name in ["jpg", "webp", "bmp", "tif", "ppm"] {
        fails(at, &["in.gif", &format!("no.{name}")], 2, "an animation of 3 pictures");
        assert!(!at.join(format!("no.{name}")).exists());
    }
    // One picture is a picture, in any format.
    animation(&at.join("one.gif"), 1);
    works(at, &["one.gif", "one.jpg"]);
    works(at, &["one.gif", "one-large.png"]);
    assert_eq!(image::open(at.join("one-large.png")).unwrap().to_rgb8().get_pixel(3, 3).0, [255, 0, 0]);
    let (_, still) = ramps().swap_remove(1);
    still.save(at.join("still.png")).unwrap();
    works(at, &["still.png", "still.gif"]);
    // A small file that asks for hours.
    let mut bomb = gif::Encoder::new(File::create(at.join("bomb.gif")).unwrap(), 8000, 8000, &[9; 6]).unwrap();
    let dot = gif::Frame { width: 1, height: 1, buffer: vec![1].into(), ..gif::Frame::default() };
    (0..200).for_each(|_| bomb.write_frame(&dot).unwrap());
    drop(bomb);
    fails(at, &["bomb.gif", "no.gif"], 2, "too long");
    // Whatever is damaged is found before anything is written.
    let whole = fs::read(at.join("in.gif")).unwrap();
    for end in (14..whole.len() - 1).step_by(3) {
        fs::write(at.join("cut.gif"), &whole[..end]).unwrap();
        let output = upscale(at, &["cut.gif", "cut.png"]);
        assert_eq!(output.status.code(), Some(2), "{end} of {}", whole.len());
        assert!(!at.join("cut.png").exists());
    }
}

#[test]
fn jpeg_xl_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let picture = image::RgbImage::from_fn(16, 12, |x, y| image::Rgb([x as u8 * 16, y as u8 * 20, 128]));
    picture.save(at.join("same.png")).unwrap();
    fs::create_dir(at.join("in")).unwrap();
    fs::write(at.join("in/picture.jxl"), originals::JXL).unwrap();
    works(at, &["same.png", "wanted.png"]);
    works(at, &["in/picture.jxl"]);
    let read = |name: &str| image::open(at.join(name)).unwrap().into_rgb8();
    assert!(read("in/picture-x2.png") == read("wanted.png"));
    fs::remove_file(at.join("in/picture-x2.png")).unwrap();
    works(at, &["in", "out"]);
    assert!(read("out/picture.png") == read("wanted.png"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (head, word) in [
        (&b"\0\0\0\x20ftypavif\0\0\0\0"[..], "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\xff\x0a\xfa\x1f\x41\x91\x08\x06\x01\0\0\0", "JPEG XL"),
        (b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a", "JPEG XL"),
        (b"what is this?", "not a picture"),
    ] {
        fs::write(at.join("in"), head).unwrap();
        fails(at, &["in", "out.png"], 2, word);
    }
}

/// A disc whose surroundings are transparent and black, once with a hard edge and once with a soft one.
#[test]
fn transparent_edges_have_no_fringe() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (name, soft) in [("hard.png", 0.01), ("soft.png", 4.0)] {
        let disc = image::RgbaImage::from_fn(64, 64, |x, y| {
            let far = ((f64::from(x) - 31.5).powi(2) + (f64::from(y) - 31.5).powi(2)).sqrt();
            let alpha = ((20.0 - far) / soft + 0.5).clamp(0.0, 1.0);
            let alpha = (255.0 * alpha).round() as u8;
            image::Rgba(if alpha > 0 { [255, 40, 40, alpha] } else { [0; 4] })
        });
        disc.save(at.join(name)).unwrap();
        for (args, deep) in [(vec![name, "out.png"], false), (vec!["deep.png", "out.png"], true)] {
            DynamicImage::from(disc.clone()).into_rgba16().save(at.join("deep.png")).unwrap();
            works(at, &args);
            let made = image::open(at.join("out.png")).unwrap();
            assert_eq!(made.color() == image::ColorType::Rgba16, deep);
            for (x, y, pixel) in made.to_rgba8().enumerate_pixels() {
                let [.., alpha] = pixel.0;
                let off = pixel.0.iter().zip([255u8, 40, 40]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                let off = f64::from(off) * f64::from(alpha) / 255.0;
                assert!(off <= 8.0, "{name}: {pixel:?} at {x}, {y}");
            }
        }
    }
}

fn python() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import PIL"]).stderr(Stdio::null()).status();
    match found.is_ok_and(|status| status.success()) {
        true => Some(python),
        false => {
            scope::skip("photos judged by Pillow", "it is missing (pip install pillow; PYTHON names the interpreter)");
            None
        }
    }
}

fn pillow(python: &str, folder: &Path, script: &str) {
    let output = Command::new(python).args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn pillow_agrees() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // What it writes: profile, EXIF and resolution in each format, and animations.
    pillow(
        &python,
        at,
        r#"
from PIL import Image, ImageCms
icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
photo = Image.new("RGB", (40, 30))
photo.putdata([(x * 6, y * 8, 90) for y in range(30) for x in range(40)])
exif = Image.Exif()
exif[0x010F] = "maker"
photo.convert("L").point(lambda v: v * 257, "I").convert("I;16").save("deep.png", dpi=(300, 300))
for name in ("a.png", "a.jpg", "a.tif", "a.webp"):
    extra = {"exif": exif} if name != "a.tif" else {}
    photo.save(name, icc_profile=icc, dpi=(300, 150), **extra)
frames = [Image.new("RGB", (20, 10), c) for c in ("red", "lime", "blue")]
for name in ("m.gif", "m.png", "m.webp"):
    frames[0].save(name, save_all=True, append_images=frames[1:], duration=[40, 70, 350], loop=3, lossless=True)
"#,
    );
    for name in ["png", "jpg", "tif", "webp"] {
        for to in ["png", "jpg", "tif", "webp"] {
            works(at, &[&format!("a.{name}"), &format!("{name}-to.{to}")]);
        }
    }
    for to in ["deep-to.png", "deep-to.tif"] {
        works(at, &["deep.png", to]);
    }
    for name in ["gif", "png", "webp"] {
        for to in ["gif", "png"] {
            works(at, &[&format!("m.{name}"), &format!("m-{name}.{to}")]);
        }
    }
    pillow(
        &python,
        at,
        r#"
from PIL import Image, ImageSequence
formats = ("png", "jpg", "tif", "webp")
for name in formats:
    given = Image.open("a." + name)
    small = given.convert("RGB").resize((80, 60), Image.BICUBIC)
    for to in formats:
        made = Image.open(name + "-to." + to)
        made.load()
        assert made.size == (80, 60), (name, to, made.size)
        pairs = zip(small.tobytes(), made.convert("RGB").tobytes())
        off = [abs(a - b) for a, b in pairs]
        assert sum(off) / len(off) < 3, (name, to, sum(off) / len(off))
        assert made.info.get("icc_profile") == given.info.get("icc_profile") and made.info["icc_profile"], (name, to)
        if name != "tif" and to != "tif":
            assert made.getexif().get(0x010F) == "maker", (name, to)
        if name != "webp" and to != "webp":
            dpi = [round(float(v)) for v in made.info["dpi"]]
            assert dpi == [600, 300], (name, to, dpi)
given = Image.open("deep.png")
small = [v // 257 for v in given.resize((80, 60), Image.NEAREST).getdata()]
for name in ("deep-to.png", "deep-to.tif"):
    made = Image.open(name)
    assert made.mode.startswith("I;16") and made.size == (80, 60), (name, made.mode, made.size)
    values = list(made.getdata())
    assert len(set(values)) > 256 and max(values) > 255, name
    off = [abs(v / 257 - s) for v, s in zip(values, small)]
    assert sum(off) / len(off) < 5, (name, sum(off) / len(off))
    assert [round(float(v)) for v in made.info["dpi"]] == [600, 600], name
for name in ("gif", "png", "webp"):
    for to in ("gif", "png"):
        made = Image.open(f"m-{name}.{to}")
        assert made.n_frames == 3 and made.size == (40, 20), (name, to, made.n_frames)
        times, colours = [], []
        for frame in ImageSequence.Iterator(made):
            times.append(round(frame.info["duration"]))
            colours.append(frame.convert("RGB").getpixel((20, 10)))
        assert times == [40, 70, 350], (name, to, times)
        assert [tuple(round(v / 255) for v in c) for c in colours] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)], (name, to, colours)
        loops = made.info.get("loop")
        assert loops in (3, 4, 2), (name, to, loops)
"#,
    );
}

fn ffmpeg(folder: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]).args(args).stdin(Stdio::null()).current_dir(folder);
    let Ok(output) = command.output() else {
        scope::skip("photos and video judged by ffmpeg", "it is missing (apt-get install ffmpeg)");
        return None;
    };
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[test]
fn ffmpeg_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // 16 bits, as another decoder sees them.
    let (_, picture) = ramps().swap_remove(1);
    picture.save(at.join("in.png")).unwrap();
    works(at, &["in.png", "out.png"]);
    works(at, &["in.png", "out.tif"]);
    let raw = ["-f", "rawvideo", "-pix_fmt", "rgb48le", "-"];
    let Some(seen) = ffmpeg(at, &[&["-i", "out.png"], &raw[..]].concat()) else { return };
    let (ours, _) = samples(&image::open(at.join("out.png")).unwrap());
    assert!(seen == ours.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    assert!(ffmpeg(at, &[&["-i", "out.tif"], &raw[..]].concat()) == Some(seen));
    // A GIF of its own, and how long ours is.
    ffmpeg(at, &["-f", "lavfi", "-i", "testsrc=size=48x32:rate=10:duration=1", "in.gif"]);
    works(at, &["in.gif", "out.gif"]);
    let frames = ffmpeg(at, &["-i", "out.gif", "-f", "framecrc", "-"]).unwrap();
    let frames = String::from_utf8(frames).unwrap();
    let lines: Vec<&str> = frames.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 10, "{frames}");
    assert!(frames.contains("#dimensions 0: 96x64"), "{frames}");
    // When the frames of a Y4M are shown, and how large and wide they are.
    let odd =
        ["-f", "lavfi", "-i", "testsrc=size=35x21:rate=24000/1001:duration=0.3,setsar=32/27,format=yuv420p", "in.y4m"];
    ffmpeg(at, &odd);
    let live =
        Command::new(env!("CARGO_BIN_EXE_bifocal")).args(["live", "-q", "in.y4m", "odd.y4m"]).current_dir(at).status();
    assert!(live.unwrap().success());
    let [given, made] = ["in.y4m", "odd.y4m"].map(|name| {
        let frames = ffmpeg(at, &["-i", name, "-f", "framecrc", "-"]).unwrap();
        String::from_utf8(frames).unwrap().replace("35x21", "70x42")
    });
    let times = |text: &str| -> Vec<String> {
        let head =
            text.lines().filter(|line| line.starts_with("#tb") || line.starts_with("#dim") || line.starts_with("#sar"));
        let shown = text.lines().filter(|line| !line.starts_with('#'));
        head.map(str::to_string).chain(shown.map(|line| line.split(',').take(4).collect())).collect()
    };
    assert!(
        made.contains("#tb 0: 1001/24000") && made.contains("#dimensions 0: 70x42") && made.contains("32/27"),
        "{made}"
    );
    assert_eq!(times(&made), times(&given));
    // Colours of Y4M in each matrix, as another program makes RGB of them.
    image::RgbImage::from_pixel(16, 16, image::Rgb([200, 60, 30])).save(at.join("c1.png")).unwrap();
    for matrix in ["bt601", "bt709"] {
        let sink = format!("out.y4m?matrix={matrix}");
        let live =
            Command::new(env!("CARGO_BIN_EXE_bifocal")).args(["live", "-q", "c%d.png", &sink]).current_dir(at).status();
        assert!(live.unwrap().success());
        let filter = format!("scale=in_color_matrix={matrix}:out_range=full,format=rgb24");
        let rgb = ffmpeg(at, &["-i", "out.y4m", "-vf", &filter, "-f", "rawvideo", "-"]).unwrap();
        let middle = &rgb[3 * (16 * 32 + 16)..][..3];
        let off = middle.iter().zip([200u8, 60, 30]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(off <= 3, "{matrix}: {middle:?}");
    }
    // A video through the README's pipe keeps what its colours mean.
    let bt709 = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"];
    let source = [
        "-f",
        "lavfi",
        "-i",
        "color=c=0x00c000:s=64x48:d=0.4:r=5,format=gbrp",
        "-vf",
        "scale=out_color_matrix=bt709,format=yuv420p",
    ];
    let ours = ["-c:v", "ffv1", "in.mkv"];
    ffmpeg(at, &[&source[..], &bt709, &ours].concat());
    let program = env!("CARGO_BIN_EXE_bifocal");
    let line = format!(
        "ffmpeg -v error -i in.mkv -f yuv4mpegpipe - | {program} live -q - - | ffmpeg -v error -y -i - {} -c:v ffv1 out.mkv",
        bt709.join(" ")
    );
    assert!(Command::new("sh").args(["-c", &line]).current_dir(at).status().unwrap().success());
    for name in ["in.mkv", "out.mkv"] {
        let rgb = ffmpeg(at, &["-i", name, "-vf", "format=rgb24", "-f", "rawvideo", "-"]).unwrap();
        let off = rgb[..3].iter().zip([0u8, 192, 0]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(off <= 3, "{name}: {:?}", &rgb[..3]);
    }
}
