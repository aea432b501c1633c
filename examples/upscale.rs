//! Upscales a picture, row by row, so that neither of the two is ever in memory as a whole:
//! `upscale MODEL.onnx INPUT.png OUTPUT.png`.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

use bifocal::{Budget, Engine, Model, Options, PixelFormat, Size};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, output] = &arguments[..] else { return Err("usage: MODEL.onnx INPUT.png OUTPUT.png".into()) };
    println!("{}", upscale(model.as_ref(), input.as_ref(), output.as_ref())?);
    Ok(())
}

/// Upscales a PNG, and says what it took.
pub fn upscale(model: &Path, input: &Path, output: &Path) -> Result<String, Box<dyn Error>> {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(input)?));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let (colour, _) = reader.output_color_type();
    let format = match colour {
        png::ColorType::Grayscale => PixelFormat::Gray8,
        png::ColorType::GrayscaleAlpha => PixelFormat::GrayAlpha8,
        png::ColorType::Rgb => PixelFormat::Rgb8,
        png::ColorType::Rgba => PixelFormat::Rgba8,
        png::ColorType::Indexed => return Err("a palette that was not expanded".into()),
    };
    if reader.info().interlaced {
        return Err("an interlaced picture has its rows in another order".into());
    }
    let size = Size::new(reader.info().width as usize, reader.info().height as usize);

    let options = Options::new(size, format).with_threads(2).with_budget(Budget::mib(16));
    let mut engine = Engine::prepare(&Model::open(model)?, &options)?;

    let large = engine.output_size();
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(output)?), large.width as u32, large.height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    while let Some(row) = reader.next_row()? {
        engine.push(row.data(), |row| std::io::Write::write_all(&mut rows, row))?;
    }
    rows.finish()?;
    Ok(format!("{size} to {large}, {} KiB", engine.report().total_bytes >> 10))
}
