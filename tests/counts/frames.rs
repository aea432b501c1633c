//! Upscales frames and does nothing else, so that what a frame costs can be counted: `frames MODEL WIDTH HEIGHT COUNT`.
//! `-` is the model in the binary. Prints the level of this processor.

use bifocal::internals::bench::scene;
use bifocal::{Engine, Model, Options, PixelFormat, Size};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, width, height, count] = &arguments[..] else { return Err("MODEL WIDTH HEIGHT COUNT".into()) };
    let model = if model == "-" { Model::embedded()? } else { Model::open(model.as_ref())? };
    let size = Size::new(width.parse()?, height.parse()?);
    let luma: Vec<u8> = scene(size.width, size.height).chunks(3).map(|rgb| rgb[1]).collect();
    let options = Options::new(size, PixelFormat::Gray8);
    let mut engine = Engine::prepare(&model, &options)?;
    for _ in 0..count.parse::<usize>()? {
        for row in luma.chunks(size.width) {
            engine.push(row, |out| {
                std::hint::black_box(out);
                Ok::<(), std::convert::Infallible>(())
            })?;
        }
    }
    println!("{}", options.level.name());
    Ok(())
}
