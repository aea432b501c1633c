//! `bifocal models`.

use std::convert::Infallible;
use std::path::Path;

use serde::Serialize;

use super::args::{Format, Models, ModelsCommand};
use super::failure::{Code, Failure};
use super::print;
use super::session::load;
use crate::bench::scene;
use crate::engine::{Engine, Options};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::Budget;
use crate::model::{Metadata, Model};
use crate::tile::Tile;

/// A frame that no grid divides, so that borders and partial tiles take part.
const VERIFY_SIZE: Size = Size::new(83, 45);

#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    parameters: usize,
}

#[derive(Serialize)]
struct Listed<'a> {
    models: Vec<Inspected<'a>>,
}

#[derive(Serialize)]
struct Verified<'a> {
    model: &'a str,
    ok: bool,
    compared: Vec<String>,
}

pub(super) fn run(args: &Models) -> Result<(), Failure> {
    match &args.command {
        ModelsCommand::List => list(args.format),
        ModelsCommand::Inspect { model } => inspect(model.as_deref(), args.format),
        ModelsCommand::Verify { model } => verify(model.as_deref(), args.format),
    }
}

fn list(format: Format) -> Result<(), Failure> {
    let models: Vec<Model> = Model::EMBEDDED.iter().filter_map(|name| Model::named(name)).collect::<Result<_, _>>()?;
    let models: Vec<Inspected> = models.iter().map(inspected).collect();
    if format == Format::Json {
        return print::json(&Listed { models });
    }
    let mut text = format!("{:<20} {:>5} {:>11}  licence\n", "model", "scale", "parameters");
    for Inspected { metadata: m, parameters } in models {
        text += &format!("{:<20} {:>5} {parameters:>11}  {}\n", m.name, m.scale, m.licence);
    }
    print::text(&text)
}

fn inspected(model: &Model) -> Inspected<'_> {
    Inspected { metadata: model.metadata(), parameters: model.parameters() }
}

fn inspect(model: Option<&Path>, format: Format) -> Result<(), Failure> {
    let model = load(model)?;
    let Inspected { metadata: m, parameters } = inspected(&model);
    if format == Format::Json {
        return print::json(&inspected(&model));
    }
    let branches: Vec<&str> = m.branches.iter().map(|b| b.name()).collect();
    print::text(&format!(
        "name           {}\nscale          {}\nparameters     {parameters}\nwindow         {} input pixels\n\
         colour         {}\nbranches       {}\nlicence        {}\ntraining data  {}\nweights sha256 {}",
        m.name,
        m.scale,
        m.window,
        m.colour,
        branches.join(", "),
        m.licence,
        m.training_data,
        m.weights_sha256
    ))
}

/// Every level of this processor, in one tile and in small ones, must give the bytes of the plain kernels.
fn verify(model: Option<&Path>, format: Format) -> Result<(), Failure> {
    let model = load(model)?;
    let name = model.metadata().name.clone();
    let expected = output(&model, Level::SCALAR, Tile::Auto)?;
    let mut compared = Vec::new();
    for level in Level::all() {
        for (tile, tiling) in [(Tile::Auto, "auto"), (Tile::Fixed(16), "16")] {
            let what = format!("level {}, tile {tiling}", level.name());
            if output(&model, level, tile)? != expected {
                let message = format!("{name}: {what}: the result differs from that of the plain kernels");
                return Err(Failure::new(Code::Failed, message));
            }
            compared.push(what);
        }
    }
    match format {
        Format::Json => print::json(&Verified { model: &name, ok: true, compared }),
        Format::Text => print::text(&format!("{name}: ok; the same bytes with {}", compared.join("; "))),
    }
}

fn output(model: &Model, level: Level, tile: Tile) -> Result<Vec<u8>, Failure> {
    let mut options = Options::new(VERIFY_SIZE, PixelFormat::Rgb8);
    options.level = level;
    options.tile = tile;
    options.budget = Budget::mib(256);
    let mut engine = Engine::prepare(model, &options)?;
    let mut bytes = Vec::new();
    for row in scene(VERIFY_SIZE.width, VERIFY_SIZE.height).chunks_exact(3 * VERIFY_SIZE.width) {
        let done: Result<(), Infallible> = engine.push(row, |out| {
            bytes.extend_from_slice(out);
            Ok(())
        });
        let Ok(()) = done;
    }
    Ok(bytes)
}
