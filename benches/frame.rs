//! A frame of 320x180 with the tiny network, at every level of this processor.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use bifocal::{Engine, Level, Model, Options, PixelFormat, Plane, PlaneMut, Size};

fn frame(criterion: &mut Criterion) {
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/ctnet-tiny-x2.onnx").as_ref()).unwrap();
    let size = Size::new(320, 180);
    let luma: Vec<u8> = (0..size.area()).map(|i| (i * i / 7 % 251) as u8).collect();
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(size.area() as u64)).sample_size(20);
    for level in Level::all() {
        let options = Options::new(size, PixelFormat::Gray8).with_level(level);
        let mut engine = Engine::prepare(&model, &options).unwrap();
        let mut out = vec![0; engine.output_size().area()];
        group.bench_function(level.name(), |bencher| {
            bencher.iter(|| {
                let output = PlaneMut::new(&mut out, engine.output_size().width);
                engine.upscale(&[Plane::new(&luma, size.width)], &mut [output]).unwrap();
            });
        });
    }
}

criterion_group!(benches, frame);
criterion_main!(benches);
