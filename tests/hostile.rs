//! Files that were made to do harm: each is refused or read within a bound in time and memory. `tests/hostile` has them,
//! compressed.

#![cfg(target_os = "linux")]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/counting.rs"]
mod counting;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bifocal::{Budget, Engine, Model, Options, PixelFormat, Size};
use counting::{held, take_peak};
use miniz_oxide::inflate::decompress_to_vec_zlib;

/// The counters are those of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/hostile/{name}.z", env!("CARGO_MANIFEST_DIR"));
    decompress_to_vec_zlib(&std::fs::read(path).unwrap()).unwrap()
}

/// Most bytes that `work` held at once, and its time of the processor.
fn cost<T>(work: impl FnOnce() -> T) -> (usize, Duration) {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let (before, begin) = (held(), now());
    take_peak();
    drop(work());
    (take_peak().saturating_sub(before), now() - begin)
}

/// Every constant that is dequantised would be a copy of a large one.
#[test]
fn constants_that_multiply() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = file("dequantises-4000-times.onnx");
    let (memory, time) = cost(|| bodies::model(&bytes));
    assert!(memory < 8 * bytes.len() + Budget::default().0, "{memory} bytes of a file of {}", bytes.len());
    assert!(time < Duration::from_secs(10), "{time:?}");
}

#[test]
fn nodes_by_the_thousand() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = file("transposes-8000-times.onnx");
    let (_, time) = cost(|| bodies::model(&bytes));
    assert!(time < Duration::from_secs(10), "{time:?}");
}

#[test]
fn a_network_that_does_nothing_runs_on_many_threads() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let model = Model::parse("nothing", &file("no-operation.onnx")).unwrap();
    let size = Size::new(20, 20);
    let mut engine = Engine::prepare(&model, &Options::new(size, PixelFormat::Rgb8).with_threads(4)).unwrap();
    let (width, mut rows) = (3 * engine.output_size().width, 0);
    for _ in 0..size.height {
        let row = [128; 3 * 20];
        let push = engine.push(&row, |out| {
            rows += 1;
            assert!(out.len() == width && out.iter().all(|v| *v == 128));
            Ok::<(), ()>(())
        });
        push.unwrap();
    }
    assert_eq!(rows, engine.output_size().height);
}

/// A profile of some kilobytes that would be a hundred megabytes.
#[test]
fn a_profile_that_is_a_bomb() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = file("profile-bomb.png");
    let (memory, _) = cost(|| bodies::picture(&bytes));
    assert!(memory < 16 << 20, "{memory} bytes of a file of {}", bytes.len());
}
