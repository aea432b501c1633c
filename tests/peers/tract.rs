//! tract's own executor on a file, for the table of peers. Speaks what `engines.py` speaks:
//! `tract FILE THREADS WIDTH HEIGHT CHANNELS`, then `run`, `answer PATH` and `memory` on standard input. One thread only.

use std::io::{BufRead, Write};
use std::time::Instant;

use tract_onnx::prelude::*;

fn frame(width: usize, height: usize, channels: usize) -> Tensor {
    let level = |x: usize, y: usize| {
        let wave = 96.0 * (x as f64 / 7.0).sin() * (y as f64 / 11.0).cos() + 32.0 * ((x / 16 + y / 16) % 2) as f64;
        ((128.0 + wave).clamp(0.0, 255.0).round_ties_even() / 255.0) as f32
    };
    let values: Vec<f32> = (0..height).flat_map(|y| (0..width).map(move |x| level(x, y))).collect();
    Tensor::from_shape(&[1, channels, height, width], &values.repeat(channels))
        .expect("as many values as the shape has")
}

/// Peak resident bytes of this process; Linux only.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    1024 * line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
}

fn main() -> TractResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, threads, width, height, channels] = &arguments[..] else { panic!("FILE THREADS WIDTH HEIGHT CHANNELS") };
    if threads != "1" {
        return Err(std::io::Error::other("its executor has one thread here").into());
    }
    let x = frame(width.parse()?, height.parse()?, channels.parse()?);
    let before = peak();
    let model = tract_onnx::onnx()
        .model_for_path(file)?
        .with_input_fact(0, f32::fact(x.shape()).into())?
        .into_optimized()?
        .into_runnable()?;
    let run = || model.run(tvec!(x.clone().into_tvalue()));
    run()?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("run", _) => {
                let begin = Instant::now();
                run()?;
                println!("{}", 1e3 * begin.elapsed().as_secs_f64());
            }
            ("answer", path) => {
                let answer = run()?;
                let values = answer[0].to_plain_array_view::<f32>()?;
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                std::fs::File::create(path)?.write_all(&bytes)?;
                println!("{}", values.len());
            }
            ("memory", _) => println!("{} {before}", peak()),
            _ => {}
        }
    }
    Ok(())
}
