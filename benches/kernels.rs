//! The kernels as a frame calls them: the time that a network's Steps of each kind take for a row of 320 pixels, at every
//! level of this processor.

use std::collections::BTreeSet;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use bifocal::{Engine, Level, Model, Options, PixelFormat, Plane, PlaneMut, Size};

/// What the Steps of a kind took together, without waits and without what lies between them.
fn time(engine: &Engine, kind: &str) -> Duration {
    engine.report().steps.iter().zip(engine.profile()).filter(|(step, _)| step.kind == kind).map(|(_, time)| time).sum()
}

fn kernels(criterion: &mut Criterion) {
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/ctnet-small-x2.onnx").as_ref()).unwrap();
    let size = Size::new(320, 48);
    let luma: Vec<u8> = (0..size.area()).map(|i| (i * i / 7 % 251) as u8).collect();
    for level in Level::all() {
        let options = Options::new(size, PixelFormat::Gray8).with_level(level);
        let mut engine = Engine::prepare(&model, &options).unwrap();
        engine.start_profile();
        let mut out = vec![0; engine.output_size().area()];
        let kinds: BTreeSet<&str> = engine.report().steps.iter().map(|step| step.kind).collect();
        let mut group = criterion.benchmark_group(level.name());
        group.sample_size(10);
        for kind in kinds {
            group.bench_function(kind, |bencher| {
                bencher.iter_custom(|frames| {
                    let before = time(&engine, kind);
                    for _ in 0..frames {
                        let output = PlaneMut::new(&mut out, engine.output_size().width);
                        engine.upscale(&[Plane::new(&luma, size.width)], &mut [output]).unwrap();
                    }
                    (time(&engine, kind) - before) / size.height as u32
                });
            });
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
