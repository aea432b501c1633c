//! Prints what upscaling a frame takes, without doing it: `plan MODEL.onnx WIDTH HEIGHT`.

use std::error::Error;
use std::path::Path;

use bifocal::{Model, Options, PixelFormat, Report, Size, survey};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, width, height] = &arguments[..] else { return Err("usage: MODEL.onnx WIDTH HEIGHT".into()) };
    print!("{}", plan(model.as_ref(), Size::new(width.parse()?, height.parse()?))?);
    Ok(())
}

/// The plan for RGB frames of `size`.
pub fn plan(model: &Path, size: Size) -> Result<Report, Box<dyn Error>> {
    Ok(survey(&Model::open(model)?, &Options::new(size, PixelFormat::Rgb8))?)
}
