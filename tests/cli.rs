//! The command as scripts see it: exit codes, one line for each error, and files that are whole or absent.

#[path = "support/png.rs"]
mod png;

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image::{ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageEncoder, ImageFormat, ImageReader};
use png::{chunk, interlaced, png_header, stored};
use serde_json::Value;
use tempfile::TempDir;

fn bifocal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    bifocal().args(args).output().expect("the command starts")
}

fn piped(args: &[&str], input: &[u8]) -> Output {
    let mut command = bifocal();
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The command may stop reading on purpose.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

#[track_caller]
fn succeeds(output: Output) -> Output {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert_eq!(error, "", "nothing to say on success");
    output
}

/// The one line of an error.
#[track_caller]
fn fails(output: Output, code: i32) -> String {
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.starts_with("bifocal: ") && error.ends_with('\n'), "{error:?}");
    assert_eq!(error.lines().count(), 1, "one line: {error:?}");
    assert!(output.stdout.is_empty(), "nothing on standard output");
    error
}

fn json(output: Output) -> Value {
    let output = succeeds(output);
    serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn picture(channels: u32, width: u32, height: u32) -> DynamicImage {
    let mut grain = 0x1234_5677_u32;
    let pixels = (0..width * height * channels).map(|i| {
        grain ^= grain << 13;
        grain ^= grain >> 17;
        grain ^= grain << 5;
        ((i / channels % width) * 5 + (i / channels / width) * 3 + (grain & 31)) as u8
    });
    let pixels: Vec<u8> = pixels.collect();
    match channels {
        1 => DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, pixels).unwrap()),
        2 => DynamicImage::ImageLumaA8(ImageBuffer::from_raw(width, height, pixels).unwrap()),
        3 => DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, pixels).unwrap()),
        _ => DynamicImage::ImageRgba8(ImageBuffer::from_raw(width, height, pixels).unwrap()),
    }
}

fn bytes(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn save(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn decode(bytes: &[u8]) -> DynamicImage {
    ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().decode().unwrap()
}

fn png_of(channels: u32, width: u32, height: u32) -> Vec<u8> {
    bytes(&picture(channels, width, height), ImageFormat::Png)
}

/// Upscaled through pipes, as PNG.
fn upscaled(input: &[u8]) -> DynamicImage {
    decode(&succeeds(piped(&["upscale", "-", "-"], input)).stdout)
}

#[test]
fn all_sizes_and_layouts() {
    let folder = TempDir::new().unwrap();
    let layouts = [ColorType::L8, ColorType::La8, ColorType::Rgb8, ColorType::Rgba8];
    for (width, height) in [(1, 1), (17, 31), (1, 40), (40, 1)] {
        for (channels, layout) in (1..).zip(layouts) {
            let input = save(&folder, "in.png", &png_of(channels, width, height));
            let output = folder.path().join("out.png");
            succeeds(run(&["upscale", text(&input), text(&output)]));
            let image = decode(&fs::read(&output).unwrap());
            assert_eq!((image.width(), image.height(), image.color()), (2 * width, 2 * height, layout));
            assert_eq!(names(folder.path()), ["in.png", "out.png"]);
        }
    }
}

#[test]
fn every_input_format_gives_the_same_picture() {
    for (channels, formats) in [
        (1, &[ImageFormat::Pnm, ImageFormat::Tiff][..]),
        (3, &[ImageFormat::Pnm, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::WebP]),
        (4, &[ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::WebP]),
    ] {
        let image = picture(channels, 19, 13);
        let expected = upscaled(&bytes(&image, ImageFormat::Png));
        for &format in formats {
            assert_eq!(upscaled(&bytes(&image, format)), expected, "{format:?}");
        }
    }
    let jpeg = bytes(&picture(3, 19, 13), ImageFormat::Jpeg);
    assert_eq!(upscaled(&jpeg), upscaled(&bytes(&decode(&jpeg), ImageFormat::Png)));
}

#[test]
fn every_output_format_holds_the_same_picture() {
    let folder = TempDir::new().unwrap();
    for channels in 1..=4 {
        let input = save(&folder, "in.png", &png_of(channels, 19, 13));
        let expected = upscaled(&fs::read(&input).unwrap());
        let names: &[&str] = match channels {
            1 => &["o.pgm", "o.pnm", "o.ppm", "o.tif", "o.tiff", "o.bmp", "o.webp"],
            3 => &["o.ppm", "o.pnm", "o.tif", "o.bmp", "o.webp"],
            _ => &["o.tif", "o.bmp", "o.webp"],
        };
        for name in names {
            let output = folder.path().join(name);
            succeeds(run(&["upscale", text(&input), text(&output)]));
            let image = decode(&fs::read(&output).unwrap());
            assert_eq!(image.to_rgba8(), expected.to_rgba8(), "{name} with {channels} channels");
        }
    }
    let input = save(&folder, "in.png", &png_of(3, 19, 13));
    for name in ["o.jpg", "o.JPEG"] {
        let output = folder.path().join(name);
        succeeds(run(&["upscale", text(&input), text(&output)]));
        let image = ImageReader::open(&output).unwrap().with_guessed_format().unwrap();
        assert_eq!(image.format(), Some(ImageFormat::Jpeg));
        assert_eq!(image.into_dimensions().unwrap(), (38, 26));
    }
}

#[test]
fn pipes_and_flags_of_other_tools() {
    let folder = TempDir::new().unwrap();
    let input = save(&folder, "in.dat", &png_of(3, 9, 7));
    let expected = upscaled(&fs::read(&input).unwrap());
    let ppm = succeeds(run(&["upscale", "-i", text(&input), "-o", "-", "-f", "ppm"])).stdout;
    assert!(ppm.starts_with(b"P6\n18 14\n255\n"));
    assert_eq!(decode(&ppm), expected);
    let output = folder.path().join("out");
    assert!(fails(run(&["upscale", text(&input), text(&output)]), 2).contains("does not tell a format"));
    succeeds(run(&["upscale", text(&input), text(&output), "-f", "webp", "-s", "2", "-t", "32", "-j", "1"]));
    assert_eq!(decode(&fs::read(&output).unwrap()), expected);
}

#[test]
fn tiles_threads_and_levels_do_not_show() {
    let input = png_of(3, 70, 41);
    let expected = succeeds(piped(&["upscale", "-", "-"], &input)).stdout;
    for flags in [["-t", "16"], ["-t", "auto"], ["-j", "3"], ["--level", "scalar"], ["--mem", "64MiB"]] {
        let output = succeeds(piped(&["upscale", "-", "-", flags[0], flags[1]], &input)).stdout;
        assert!(output == expected, "{flags:?} changes the result");
    }
}

#[test]
fn interlaced_palette_and_deep_pngs() {
    for channels in [1, 3] {
        let image = picture(channels, 21, 11);
        assert_eq!(upscaled(&interlaced(&image)), upscaled(&bytes(&image, ImageFormat::Png)));
    }
    let plte: Vec<u8> = (0..12).map(|i| i * 20).collect();
    // Two rows of four 2-bit pixels, each after its filter.
    let idat = chunk(b"IDAT", &stored(&[0, 0b00_01_10_11, 0, 0b11_10_01_00]));
    let parts = [png_header(4, 2, [2, 3, 0, 0, 0]), chunk(b"PLTE", &plte), idat, chunk(b"IEND", &[])];
    let palette = parts.concat();
    assert_eq!(upscaled(&palette), upscaled(&bytes(&decode(&palette), ImageFormat::Png)));

    let image = picture(3, 8, 5);
    let deep = DynamicImage::ImageRgb16(image.to_rgb16());
    let output = piped(&["upscale", "-", "-"], &bytes(&deep, ImageFormat::Png));
    assert_eq!(output.status.code(), Some(0));
    let made = decode(&output.stdout);
    assert_eq!(made.color(), image::ColorType::Rgb16);
    let eight = upscaled(&bytes(&image, ImageFormat::Png)).into_rgb8();
    assert!(made.into_rgb8().iter().zip(eight.iter()).all(|(a, b)| a.abs_diff(*b) <= 2));
}

/// EXIF with an orientation and nothing else.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [&b"II*\0\x08\0\0\0\x01\0"[..], &entry, &[0; 4]].concat()
}

fn profile() -> Vec<u8> {
    let mut icc = vec![0; 132];
    icc[16..20].copy_from_slice(b"RGB ");
    icc
}

#[test]
fn orientation_is_applied_and_metadata_kept() {
    let folder = TempDir::new().unwrap();
    let image = picture(3, 16, 8);
    let (mut png, mut jpeg) = (Vec::new(), Vec::new());
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.set_icc_profile(profile()).unwrap();
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(image.as_bytes(), 16, 8, ColorType::Rgb8.into()).unwrap();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
    encoder.set_icc_profile(profile()).unwrap();
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(image.as_bytes(), 16, 8, ColorType::Rgb8.into()).unwrap();

    assert_eq!(upscaled(&png), upscaled(&bytes(&image.rotate90(), ImageFormat::Png)));
    for (input, data) in [("in.png", &png), ("in.jpg", &jpeg)] {
        let input = save(&folder, input, data);
        for name in ["out.png", "out.jpg", "out.webp"] {
            let output = folder.path().join(name);
            succeeds(run(&["upscale", text(&input), text(&output)]));
            let mut decoder = ImageReader::open(&output).unwrap().into_decoder().unwrap();
            assert_eq!(decoder.dimensions(), (16, 32), "{name} stands upright");
            assert_eq!(decoder.icc_profile().unwrap(), Some(profile()), "{name}");
            assert_eq!(decoder.exif_metadata().unwrap(), Some(exif(1)), "{name}: turned once, not twice");
        }
    }
    let output = run(&["upscale", text(&folder.path().join("in.png")), "-", "-f", "ppm"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("colour profile"), "a lost profile is said");
}

#[test]
fn wrong_inputs_are_told_in_one_line() {
    let folder = TempDir::new().unwrap();
    let (png, jpeg) = (png_of(3, 40, 40), bytes(&picture(3, 40, 40), ImageFormat::Jpeg));
    let output = folder.path().join("out.png");
    let cases: [(&str, &[u8], &str); 7] = [
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"this is a letter, not a picture", "not a picture"),
        ("cut.png", &png[..png.len() / 2], "cut short"),
        (
            "flipped.png",
            &{
                let mut b = png.clone();
                b[png.len() / 2] ^= 4;
                b
            },
            "damaged PNG",
        ),
        ("cut.jpg", &jpeg[..jpeg.len() / 2], "cut short"),
        ("cut.ppm", b"P6 4 4 255\nabc", "cut short"),
        ("gif.png", b"GIF89a\x04\0\x04\0\0\0\0", "damaged GIF"),
    ];
    for (name, bytes, reason) in cases {
        let input = save(&folder, name, bytes);
        let line = fails(run(&["upscale", text(&input), text(&output)]), 2);
        assert!(line.contains(name) && line.contains(reason), "{line}");
        fs::remove_file(input).unwrap();
    }
    assert!(
        fails(run(&["upscale", text(&folder.path().join("no.png")), text(&output)]), 2)
            .contains("no.png: No such file")
    );
    assert!(fails(piped(&["upscale", "-", text(&output)], b""), 2).contains("standard input: the file is empty"));
    assert_eq!(names(folder.path()), [""; 0], "nothing is left behind");
}

#[test]
fn giant_headers_are_refused_unread() {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("out.png");
    let giant = [png_header(100_000, 100_000, [8, 6, 0, 0, 0]), chunk(b"IDAT", &[0x78, 1])].concat();
    let turned = [png_header(60_000, 60_000, [8, 2, 0, 0, 1]), chunk(b"IDAT", &[0x78, 1])].concat();
    let mut bmp = bytes(&picture(3, 4, 4), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    for (name, data, size, limit) in [
        ("giant.png", &giant[..], "100000x100000", "65536x65536"),
        ("interlaced.png", &turned, "60000x60000", "MiB"),
        ("giant.bmp", &bmp, "60000x60000", "MiB"),
        ("giant.ppm", b"P6 100000 100000 255\n", "100000x100000", "65536x65536"),
    ] {
        let input = save(&folder, name, data);
        let line = fails(run(&["upscale", text(&input), text(&output)]), 2);
        assert!(line.contains(name) && line.contains(size) && line.contains(limit), "{line}");
    }
    assert!(!output.exists());
}

#[test]
fn formats_that_cannot_hold_the_picture() {
    let folder = TempDir::new().unwrap();
    let alpha = save(&folder, "alpha.png", &png_of(4, 6, 6));
    let colour = save(&folder, "colour.png", &png_of(3, 6, 6));
    let wide = save(&folder, "wide.png", &png_of(1, 8200, 1));
    for (input, name, hint) in [
        (&alpha, "o.jpg", "use .png"),
        (&alpha, "o.ppm", "transparency"),
        (&colour, "o.pgm", "colour"),
        (&wide, "o.webp", "16383x16383"),
    ] {
        let line = fails(run(&["upscale", text(input), text(&folder.path().join(name))]), 2);
        assert!(line.contains(name) && line.contains(hint), "{line}");
    }
    assert_eq!(names(folder.path()), ["alpha.png", "colour.png", "wide.png"]);
}

/// A budget that makes a frame many times the work is one that `plan` names a better one for.
#[test]
fn what_a_small_budget_costs_is_said() {
    let plan = |memory: &str| {
        let args = ["plan", "--size", "1200x800", "-j", "1", "--mem", memory];
        let told = String::from_utf8(succeeds(run(&args)).stdout).unwrap();
        (told, json(run(&[&args[..], &["--format", "json"]].concat())))
    };
    let (told, small) = plan("1.5MiB");
    let overhead = small["mac_overhead"].as_f64().unwrap();
    assert!(overhead > 10.0 && told.contains(&format!("{overhead:.1} times")), "{told}");
    let (told, roomy) = plan(&small["roomy_budget_bytes"].to_string());
    assert!(roomy["mac_overhead"].as_f64().unwrap() < 1.5 && !told.contains("for want of memory"), "{told}");
}

#[test]
fn places_that_cannot_be_written() {
    let folder = TempDir::new().unwrap();
    let input = save(&folder, "in.png", &png_of(3, 6, 6));
    let file = save(&folder, "file", b"");
    let mut places = vec![file.join("out.png"), folder.path().join("missing").join("out.png")];
    // Not even root makes files here.
    places.extend(Path::new("/proc/self").exists().then(|| PathBuf::from("/proc/self/out.png")));
    for place in places {
        let line = fails(run(&["upscale", text(&input), text(&place)]), 1);
        assert!(line.contains(text(&place)), "{line}");
    }
    assert_eq!(names(folder.path()), ["file", "in.png"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_half_file() {
    let folder = TempDir::new().unwrap();
    for size in [2, 200] {
        let input = save(&folder, "in.png", &png_of(3, size, size));
        for format in ["png", "ppm", "jpg", "webp", "bmp", "tif"] {
            let line = fails(run(&["upscale", text(&input), "/dev/full", "-f", format]), 1);
            assert!(line.contains("/dev/full") && line.contains("No space left"), "{line}");
        }
    }
    // A file that may not grow: as a disk that fills while the picture is written.
    for name in ["out.png", "out.ppm", "out.tif"] {
        let output = folder.path().join(name);
        fs::write(&output, b"older").unwrap();
        let script = "ulimit -f 8; trap '' XFSZ; exec \"$0\" upscale \"$1\" \"$2\"";
        let input = folder.path().join("in.png");
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", script, env!("CARGO_BIN_EXE_bifocal"), text(&input), text(&output)]);
        let line = fails(shell.env_remove("RUST_LOG").output().unwrap(), 1);
        assert!(line.contains(name) && line.contains("File too large"), "{line}");
        assert_eq!(fs::read(&output).unwrap(), b"older", "the older file is untouched");
        fs::remove_file(&output).unwrap();
    }
    assert_eq!(names(folder.path()), ["in.png"]);
}

#[test]
fn a_damaged_input_leaves_the_older_output() {
    let folder = TempDir::new().unwrap();
    let png = png_of(3, 200, 200);
    let input = save(&folder, "in.png", &png[..png.len() - 100]);
    let output = save(&folder, "out.png", b"older");
    fails(run(&["upscale", text(&input), text(&output)]), 2);
    assert_eq!(fs::read(&output).unwrap(), b"older");
    fs::write(&input, &png).unwrap();
    succeeds(run(&["upscale", text(&input), text(&output)]));
    assert_eq!(decode(&fs::read(&output).unwrap()).width(), 400);
    assert_eq!(names(folder.path()), ["in.png", "out.png"]);
}

#[test]
fn the_input_is_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let bytes = png_of(3, 6, 6);
    let input = save(&folder, "in.png", &bytes);
    let hard = folder.path().join("hard.png");
    fs::hard_link(&input, &hard).unwrap();
    let mut outputs = vec![input.clone(), hard, folder.path().join(".").join("in.png"), folder.path().to_path_buf()];
    #[cfg(unix)]
    {
        let soft = folder.path().join("soft.png");
        std::os::unix::fs::symlink(&input, &soft).unwrap();
        outputs.push(soft);
    }
    for output in outputs {
        let line = fails(run(&["upscale", text(&input), text(&output)]), 2);
        assert!(line.contains("input"), "{line}");
        assert_eq!(fs::read(&input).unwrap(), bytes);
    }
    assert!(fails(run(&["upscale", text(folder.path()), text(folder.path())]), 2).contains("input folder"));
}

#[test]
fn wrong_scale_model_and_budget() {
    let folder = TempDir::new().unwrap();
    let input = save(&folder, "in.png", &png_of(3, 64, 64));
    let output = folder.path().join("out.png");
    let model = save(&folder, "bad.onnx", b"not an ONNX file");
    let upscale = |flags: &[&str]| run(&[&["upscale", text(&input), text(&output)], flags].concat());
    assert!(fails(upscale(&["-s", "9"]), 2).contains("no built-in model has scale 9"));
    assert!(fails(upscale(&["-m", "nonsense"]), 2).contains("no model 'nonsense'"));
    assert!(fails(upscale(&["-m", text(&model)]), 2).contains("bad.onnx"));
    assert!(fails(upscale(&["-m", "missing.onnx"]), 2).contains("missing.onnx"));
    assert!(fails(upscale(&["--mem", "4KiB"]), 3).contains("4.0KiB"));
    assert!(fails(run(&["plan", "--size", "64x64", "--mem", "4KiB"]), 3).contains("least"));
    for flags in [["--mem", "much"], ["-t", "3"], ["-j", "0"], ["-j", "17"], ["--level", "sse"], ["--branches", "none"]]
    {
        assert_eq!(upscale(&flags).status.code(), Some(2), "{flags:?}");
    }
    assert_eq!(names(folder.path()), ["bad.onnx", "in.png"]);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let input = png_of(3, 400, 400);
    for format in ["ppm", "png", "bmp"] {
        let mut command = bifocal();
        let command = command.args(["upscale", "-", "-", "-f", format]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.clone();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        drop(stdout);
        succeeds(child.wait_with_output().unwrap());
        feeder.join().unwrap();
    }
}

/// Most memory of a command, in KiB, once it has read all rows but the last of a picture this high.
#[cfg(target_os = "linux")]
fn peak_kib(format: &str, height: usize) -> usize {
    const WIDTH: usize = 200;
    let mut command = bifocal();
    let command = command.args(["upscale", "-", "-", "--branches", "cnn", "-j", "1", "-f", format]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("P6 {WIDTH} {height} 255\n").as_bytes()).unwrap();
    let row: Vec<u8> = (0..3 * WIDTH).map(|i| (i * i / 7) as u8).collect();
    (1..height).for_each(|_| stdin.write_all(&row).unwrap());
    // The pipe holds at most 64 KiB: by now the command has taken the rest.
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    stdin.write_all(&row).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_height() {
    for format in ["png", "ppm"] {
        let (low, high) = (peak_kib(format, 1500), peak_kib(format, 12_000));
        // Held whole, the rows between would take 6 MiB, and 24 MiB as output.
        assert!(high < low + 3 * 1024, "{format}: {low} KiB for 1500 rows, {high} KiB for 12000");
    }
}

#[test]
fn folders() {
    let folder = TempDir::new().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("deep").join("out"));
    fs::create_dir_all(input.join("inner.png")).unwrap();
    fs::write(input.join("b.ppm"), bytes(&picture(3, 5, 4), ImageFormat::Pnm)).unwrap();
    fs::write(input.join("a.png"), png_of(1, 5, 4)).unwrap();
    fs::write(input.join("notes.txt"), "no picture").unwrap();
    succeeds(run(&["upscale", text(&input), text(&output)]));
    assert_eq!(names(&output), ["a.png", "b.ppm"]);

    fs::write(input.join("a.ppm"), bytes(&picture(3, 5, 4), ImageFormat::Pnm)).unwrap();
    fs::write(input.join("broken.png"), "broken").unwrap();
    fs::remove_dir_all(&output).unwrap();
    let result = run(&["upscale", text(&input), text(&output), "-f", "png", "--format", "json"]);
    assert_eq!(result.status.code(), Some(1));
    let lines = String::from_utf8(result.stderr).unwrap();
    assert_eq!(lines.lines().count(), 3, "one line for each failure, and the sum: {lines}");
    assert!(lines.contains("already made from a.png") && lines.contains("broken.png: not a picture"), "{lines}");
    assert!(lines.contains("2 of 4 pictures failed"), "{lines}");
    assert_eq!(names(&output), ["a.png", "b.png"], "the others are done");
    let summary: Value = serde_json::from_slice(&result.stdout).unwrap();
    assert_eq!((summary["images"].as_array().unwrap().len(), summary["failed"].as_array().unwrap().len()), (2, 2));

    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(fails(run(&["upscale", text(&empty), text(&output)]), 2).contains("no pictures"));
    assert!(fails(run(&["upscale", text(&input), "-"]), 2).contains("folder"));
}

#[test]
fn json_is_one_object_with_the_promised_fields() {
    let folder = TempDir::new().unwrap();
    let input = save(&folder, "in.png", &png_of(3, 30, 26));
    let output = folder.path().join("out.png");
    let upscale = json(run(&["upscale", text(&input), text(&output), "--format", "json"]));
    assert_eq!((&upscale["images"][0]["width"], &upscale["images"][0]["height"]), (&60.into(), &52.into()));
    assert!(fails(run(&["upscale", text(&input), "-", "--format", "json"]), 2).contains("standard output"));

    for args in [["plan", "--size", "30x26"], ["plan", text(&input), "-v"]] {
        let output = run(&[&args[..], &["--format", "json"]].concat());
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            plan["tile"]["width"].is_u64() && plan["mac_overhead"].is_number() && plan["steps"].is_array(),
            "{plan}"
        );
        assert!(plan["arena_bytes"].is_u64() && plan["min_budget_bytes"].is_u64(), "{plan}");
    }
    let bench = json(run(&["bench", "--size", "16x16", "--num-runs", "3", "--format", "json"]));
    for field in ["min", "mean", "p50", "p90", "p95", "p99", "max"] {
        assert!(bench["latency_ms"][field].is_number(), "{field}");
    }
    for field in ["scale", "runs", "threads", "fps", "macs_per_frame", "gmacs_per_s", "budget_bytes", "load_ms"] {
        assert!(bench[field].is_number(), "{field}");
    }
    assert_eq!((&bench["runs"], &bench["input"]["width"]), (&3.into(), &16.into()));
    for field in ["peak_rss_bytes", "allocs_per_frame", "board", "mac_overhead", "arena_bytes", "level", "branches"] {
        assert!(bench.get(field).is_some(), "{field}");
    }
    let eval = json(run(&["eval", text(folder.path()), "--format", "json"]));
    assert_eq!(eval["images"].as_array().unwrap().len(), 2);
    assert!(eval["mean_psnr_y"].is_number() && eval["mean_ssim_y"].is_number() && eval["scale"] == 2);
    assert!(eval["images"][0]["psnr_y"].is_number() && eval["images"][0]["bicubic_psnr_y"].is_number());
    assert!(json(run(&["models", "list", "--format", "json"]))["models"][0]["parameters"].is_u64());
    assert!(json(run(&["models", "inspect", "--format", "json"]))["scale"] == 2);
    assert!(json(run(&["models", "verify", "--format", "json"]))["ok"] == true);
}

#[test]
fn help_teaches_and_mistakes_are_usage_errors() {
    for args in
        [&["--help"][..], &["upscale", "--help"], &["plan", "--help"], &["bench", "--help"], &["eval", "--help"]]
    {
        let help = String::from_utf8(succeeds(run(args)).stdout).unwrap();
        assert!(help.contains("Examples:\n  bifocal "), "{args:?}");
    }
    for args in
        [&[][..], &["upscale"], &["upscale", "a.png"], &["sharpen"], &["plan"], &["plan", "--size", "0x3"], &["eval"]]
    {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}
