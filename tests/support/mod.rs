//! What several test files need: the shipped pictures at any size, and an engine run from end to end.

#![allow(dead_code)] // no test file needs all of it

pub mod scope;

use std::path::Path;

use bifocal::{Engine, Model, Options, PixelFormat, Size};

/// A model of `models/`, which need not be in the binary.
pub fn model(name: &str) -> Model {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).with_extension("onnx");
    Model::open(&file).expect("a shipped model")
}

/// The model that most tests run.
pub fn tiny() -> Model {
    model("ctnet-tiny-x2")
}

/// Rows of a shipped picture, continued by mirroring to `size`.
pub fn picture(name: &str, size: Size, format: PixelFormat) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name);
    let image = image::open(path).expect("a shipped picture").to_rgba8();
    let mirror = |at: usize, length: u32| {
        let (length, at) = (length as usize, at % (2 * length as usize));
        if at < length { at } else { 2 * length - 1 - at }
    };
    let mut rows = Vec::with_capacity(size.area() * format.channels());
    for y in 0..size.height {
        for x in 0..size.width {
            let [r, g, b, _] = image.get_pixel(mirror(x, image.width()) as u32, mirror(y, image.height()) as u32).0;
            let alpha = (x * 3 + y * 5) as u8;
            match format {
                PixelFormat::Gray8 => rows.push(g),
                PixelFormat::GrayAlpha8 => rows.extend([g, alpha]),
                PixelFormat::Rgb8 => rows.extend([r, g, b]),
                PixelFormat::Rgba8 => rows.extend([r, g, b, alpha]),
            }
        }
    }
    rows
}

/// The upscaled picture.
pub fn upscale(model: &Model, options: &Options, rows: &[u8]) -> Vec<u8> {
    let mut engine = Engine::prepare(model, options).expect("a plan within the budget");
    let bytes = run(&mut engine, options, rows);
    assert_eq!(bytes.len(), engine.output_size().area() * options.format.channels());
    bytes
}

/// One frame through a prepared engine.
pub fn run(engine: &mut Engine, options: &Options, rows: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(engine.output_size().area() * options.format.channels());
    for row in rows.chunks(options.size.width * options.format.channels()) {
        let emit = |out: &[u8]| {
            bytes.extend_from_slice(out);
            Ok::<(), std::convert::Infallible>(())
        };
        engine.push(row, emit).expect("a row of the frame");
    }
    bytes
}
