//! The plan against tract's evaluation of the typed graph, in f32; and that graph against the one that tract itself
//! makes of the file.

mod support;

use bifocal::internals::model::evaluate;
use bifocal::{Model, Options, PixelFormat, Size};
use support::{picture, upscale};
use tract_onnx::prelude::*;

/// The most that any pixel may differ, and the share that may differ at all. The scales of the files leave no value
/// near a tie (`models/ctnet/ties.py`).
const MOST: u8 = 1;
const UNLIKE: f64 = 0.0001;

#[test]
fn agrees_with_tract() {
    for name in Model::EMBEDDED {
        agrees(&Model::named(name).unwrap().unwrap());
    }
}

fn onnx(name: &str) -> Vec<u8> {
    Model::embedded_onnx(name).unwrap().unwrap()
}

fn agrees(model: &Model) {
    for (name, width, height) in [("balcony.png", 64, 48), ("towers.png", 80, 96)] {
        let options = Options::new(Size::new(width, height), PixelFormat::Gray8);
        let luma = picture(name, options.size, options.format);
        let ours = upscale(model, &options, &luma);
        let model = &model.metadata().name;
        let theirs = evaluate(model, &onnx(model), width, height, &luma).unwrap();
        assert_eq!(ours.len(), theirs.len());
        let differences: Vec<u8> = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).collect();
        let worst = *differences.iter().max().unwrap();
        let unlike = differences.iter().filter(|d| **d > 0).count() as f64 / ours.len() as f64;
        assert!(worst <= MOST && unlike <= UNLIKE, "{name}: worst {worst}, {unlike} differ");
        let plain = luma.iter().map(|v| u64::from(*v)).sum::<u64>() / luma.len() as u64;
        let mean = theirs.iter().map(|v| u64::from(*v)).sum::<u64>() / theirs.len() as u64;
        assert!(mean.abs_diff(plain) <= 2, "{name}: the judge's own mean {mean} is not that of the picture, {plain}");
    }
}

/// Wiring ONNX ourselves changes nothing: the same bytes as from the graph that tract's own reader makes.
#[test]
fn reads_what_tract_reads() {
    let size = Size::new(48, 32);
    let luma = picture("balcony.png", size, PixelFormat::Gray8);
    for name in Model::EMBEDDED {
        let ours = evaluate(name, &onnx(name), size.width, size.height, &luma).unwrap();
        assert!(ours == read_by_tract(name, size, &luma).unwrap(), "{name}");
    }
}

fn read_by_tract(name: &str, size: Size, luma: &[u8]) -> TractResult<Vec<u8>> {
    let file = format!("{}/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    let shape = [1, 1, size.height, size.width];
    let mut model = tract_onnx::onnx().model_for_read(&mut std::fs::File::open(file)?)?;
    model.set_input_fact(0, f32::fact(shape).into())?;
    let real: Vec<f32> = luma.iter().map(|&v| f32::from(v) / 255.0).collect();
    let input = Tensor::from_shape(&shape, &real)?.into_tvalue();
    let output = model.into_typed()?.into_runnable()?.run(tvec!(input))?;
    let real = output[0].to_plain_array_view::<f32>()?;
    Ok(real.iter().map(|v| (v * 255.0).round_ties_even().clamp(0.0, 255.0) as u8).collect())
}
