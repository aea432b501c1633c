//! `bifocal models`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{Format, Models, ModelsCommand};
use super::catalogue::{self, load, onnx};
use super::failure::{Code, Failure};
use super::print;
use crate::bench::scene;
use crate::engine::{Engine, Options};
use crate::frame::{PixelFormat, luma_row};
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::Budget;
use crate::model::{FloatFacts, FloatNetwork, Metadata, Model, evaluate};
use crate::tile::Tile;

/// A frame that no grid divides, so that borders and partial tiles take part.
const VERIFY_SIZE: Size = Size::new(83, 45);

/// A frame on the window grid, small enough for tract's evaluation.
const JUDGED_SIZE: Size = Size::new(96, 64);
/// The most that a byte may differ from tract's; beyond one, only one byte in a thousand may.
const MOST_APART: u8 = 2;

#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    parameters: usize,
    /// How it runs: `int8` or `float`.
    path: &'static str,
    /// Why not in integers.
    #[serde(skip_serializing_if = "str::is_empty")]
    why_float: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<FloatFacts>,
    /// The file, if it lies in a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
}

#[derive(Serialize)]
struct Listed<'a> {
    models: Vec<Inspected<'a>>,
    refused: Vec<Refused>,
}

/// A file in a folder of models that is none that can be run.
#[derive(Serialize)]
struct Refused {
    name: String,
    file: PathBuf,
    reason: String,
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
    let (mut models, mut refused) = (vec![], vec![]);
    for name in Model::EMBEDDED {
        models.push((name.to_string(), None, load(Some(Path::new(name)))?));
    }
    for (name, file) in Model::files() {
        match catalogue::open(&file) {
            Ok(model) => models.push((name, Some(file), model)),
            Err(failure) => refused.push(Refused { name, file, reason: failure.to_string() }),
        }
    }
    if format == Format::Json {
        let models = models.iter().map(|(_, file, model)| Inspected { file: file.as_deref(), ..inspected(model) });
        return print::json(&Listed { models: models.collect(), refused });
    }
    let mut text = format!("{:<24} {:>5} {:>11}  {:<5}  licence\n", "model", "scale", "parameters", "path");
    for (name, _, model) in &models {
        let Inspected { metadata: m, parameters, path, .. } = inspected(model);
        text += &format!("{name:<24} {:>5} {parameters:>11}  {path:<5}  {}\n", m.scale, m.licence);
    }
    for Refused { name, reason, .. } in refused {
        text += &format!("{name:<24} refused: {reason}\n");
    }
    print::text(&text)
}

fn inspected(model: &Model) -> Inspected<'_> {
    Inspected {
        metadata: model.metadata(),
        parameters: model.parameters(),
        path: if model.float().is_some() { "float" } else { "int8" },
        why_float: model.why_float(),
        float: model.float().map(FloatNetwork::facts),
        file: None,
    }
}

fn inspect(model: Option<&Path>, format: Format) -> Result<(), Failure> {
    let model = match load(model) {
        Err(failure) if failure.is_refused() => {
            match format {
                Format::Json => print::json(&serde_json::json!({ "path": "refused", "reason": failure.to_string() }))?,
                Format::Text => print::text(&format!("path           refused: {failure}"))?,
            }
            return Err(failure);
        }
        loaded => loaded?,
    };
    let Inspected { metadata: m, parameters, path, why_float, float, .. } = inspected(&model);
    if format == Format::Json {
        return print::json(&inspected(&model));
    }
    let branches: Vec<&str> = m.branches.iter().map(|b| b.name()).collect();
    let mut text = format!(
        "name           {}\nscale          {}\nparameters     {parameters}\nwindow         {} input pixels\n\
         colour         {}\nbranches       {}\nlicence        {}\ntraining data  {}\nweights sha256 {}\npath           {path}",
        m.name,
        m.scale,
        m.window,
        m.colour,
        branches.join(", "),
        m.licence,
        m.training_data,
        m.weights_sha256
    );
    if let Some(f) = float {
        text +=
            &format!("\nno int8        {why_float}\nchannels       {}\nrange          {}", f.channels, f.range.name());
        text += &f.order.map_or(String::new(), |order| format!("\norder          {}", order.name()));
        text += &format!("\nlayout         {}\nhalo           {} input pixels", f.layout.name(), f.halo);
        text += &format!("\ngrid           {}\nlost border    {}", f.step, f.margin);
        text += &f.fixed.map_or(String::new(), |size| format!("\ninput size     {size} only"));
        text += &f.whole.map_or(String::new(), |node| format!("\nwhole picture  seen by {node}: a frame is one tile"));
    }
    print::text(&text)
}

/// Every level of this processor, in one tile and in small ones, must give the bytes of the plain kernels, and
/// these must agree with tract's evaluation of the file.
fn verify(model: Option<&Path>, format: Format) -> Result<(), Failure> {
    let file = model;
    let model = load(file)?;
    let name = model.metadata().name.clone();
    if model.float().is_some() {
        return Err(Failure::usage(format!("{name} runs in floats, by tract itself: there is no plan to verify")));
    }
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
    let share = agreement(&model, &onnx(file)?)?;
    compared.push(format!("tract's evaluation in f32: {:.2} % equal, none beyond {MOST_APART}", 100.0 * share));
    match format {
        Format::Json => print::json(&Verified { model: &name, ok: true, compared }),
        Format::Text => print::text(&format!("{name}: ok; the same bytes with {}", compared.join("; "))),
    }
}

/// The share of bytes that are those of tract's evaluation of the file; an error if any is too far away.
fn agreement(model: &Model, onnx: &[u8]) -> Result<f64, Failure> {
    let size = JUDGED_SIZE;
    let mut pixels = scene(size.width, size.height);
    let mut format = PixelFormat::Rgb8;
    if model.graph().is_some_and(|graph| graph.channels == 1) {
        let mut luma = vec![0; size.area()];
        luma_row(format, &pixels, &mut luma);
        (pixels, format) = (luma, PixelFormat::Gray8);
    }
    let judged = evaluate(&model.metadata().name, onnx, size.width, size.height, &pixels)?;
    let options = Options { level: Level::SCALAR, budget: Budget::mib(256), ..Options::new(size, format) };
    let ours = frame(model, &options, &pixels)?;
    let apart = |limit: u8| ours.iter().zip(&judged).filter(|(a, b)| a.abs_diff(**b) > limit).count();
    if ours.len() != judged.len() || apart(MOST_APART) > 0 || apart(1) * 1000 > ours.len() {
        let message = format!("{}: the result differs from tract's evaluation of the file", model.metadata().name);
        return Err(Failure::new(Code::Failed, message));
    }
    Ok(1.0 - apart(0) as f64 / ours.len() as f64)
}

fn output(model: &Model, level: Level, tile: Tile) -> Result<Vec<u8>, Failure> {
    let options = Options { level, tile, budget: Budget::mib(256), ..Options::new(VERIFY_SIZE, PixelFormat::Rgb8) };
    frame(model, &options, &scene(VERIFY_SIZE.width, VERIFY_SIZE.height))
}

fn frame(model: &Model, options: &Options, pixels: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut engine = Engine::prepare(model, options)?;
    let mut bytes = Vec::new();
    for row in pixels.chunks_exact(options.format.channels() * options.size.width) {
        engine.push_row(row, |_, out| {
            bytes.extend_from_slice(out);
            Ok::<_, Failure>(())
        })?;
    }
    Ok(bytes)
}
