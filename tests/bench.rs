//! `bifocal bench` as scripts see it. No test here asserts how long anything takes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn bench(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command.arg("bench").args(args).output().expect("the command starts")
}

#[track_caller]
fn printed(args: &[&str]) -> String {
    let output = bench(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(0), ""), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(args: &[&str]) -> Value {
    let text = printed(&[args, &["--format", "json"]].concat());
    serde_json::from_str(&text).expect("one JSON object and nothing else")
}

#[track_caller]
fn refused(args: &[&str]) -> String {
    let output = bench(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert!(output.stdout.is_empty(), "nothing on standard output");
    String::from_utf8(output.stderr).unwrap()
}

const SMALL: [&str; 6] = ["--size", "64x48", "--num-runs", "7", "-j", "1"];

#[test]
fn has_the_fields_that_scripts_rely_on() {
    let result = json(&SMALL);
    for number in [
        "scale",
        "threads",
        "runs",
        "fps",
        "macs_per_frame",
        "gmacs_per_s",
        "peak_gmacs_per_s",
        "peak_share",
        "mac_overhead",
        "budget_bytes",
        "arena_bytes",
        "load_ms",
    ] {
        assert!(result[number].as_f64().is_some_and(|n| n > 0.0), "{number}: {}", result[number]);
    }
    for text in ["model", "level", "branches", "pixels"] {
        assert!(result[text].is_string(), "{text}: {}", result[text]);
    }
    assert_eq!(result["allocs_per_frame"], 0.0, "a frame allocates nothing");
    for perhaps in ["peak_rss_bytes", "board"] {
        assert!(result.get(perhaps).is_some(), "{perhaps}");
    }
    assert_eq!((&result["input"]["width"], &result["input"]["height"]), (&64.into(), &48.into()));
    assert_eq!((&result["runs"], &result["threads"], &result["pixels"]), (&7.into(), &1.into(), &"rgb".into()));
    assert!(result.get("profile").is_none() && result.get("compare").is_none(), "only when asked for");
}

#[test]
fn percentiles_are_in_order() {
    let latency = json(&SMALL)["latency_ms"].clone();
    let values = ["min", "p50", "p90", "p95", "p99", "max"].map(|name| latency[name].as_f64().unwrap());
    assert!(values.is_sorted(), "{latency}");
    let mean = latency["mean"].as_f64().unwrap();
    assert!((values[0]..=values[5]).contains(&mean), "{latency}");
}

#[test]
fn derived_figures_agree() {
    let result = json(&SMALL);
    let number = |value: &Value| value.as_f64().unwrap();
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} and {b}");
    close(number(&result["fps"]), 1e3 / number(&result["latency_ms"]["mean"]));
    let speed = number(&result["gmacs_per_s"]);
    close(speed, number(&result["macs_per_frame"]) / number(&result["latency_ms"]["p50"]) / 1e6);
    close(number(&result["peak_share"]), speed / number(&result["peak_gmacs_per_s"]));
}

#[test]
fn the_profile_adds_up() {
    for tile in ["auto", "32"] {
        for pixels in ["gray", "rgb"] {
            let result = json(&[&SMALL[..], &["--profile", "--pixels", pixels, "--tile", tile]].concat());
            let steps = result["profile"].as_array().unwrap();
            let sum = |name: &str| steps.iter().map(|s| s[name].as_f64().unwrap()).sum::<f64>();
            let macs = result["macs_per_frame"].as_f64().unwrap();
            // Recomputed multiply-adds are shared out among the Steps, rounded down.
            let rounding = if tile == "auto" { 0.0 } else { steps.len() as f64 + 1.0 };
            assert!((sum("macs") - macs).abs() <= rounding, "{} and {macs}", sum("macs"));
            assert!((sum("share") - 1.0).abs() < 1e-9);
            for step in steps {
                assert!(step["name"].is_string() && step["kind"].is_string(), "{step}");
                assert!(step["bytes_written"].as_u64().unwrap() > 0, "{step}");
                assert!(step["ms"].as_f64().unwrap() >= 0.0 && step["gmacs_per_s"].is_number(), "{step}");
            }
            // The last Step writes the output frame, of twice the side.
            if tile == "auto" {
                assert_eq!(steps.last().unwrap()["bytes_written"], 4 * 64 * 48);
            }
            assert_eq!(result["pixels"], pixels);
        }
    }
}

#[test]
fn compares_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.json");
    let args = ["--size", "96x64", "--num-runs", "15", "-j", "1", "--profile"];
    std::fs::write(&path, printed(&[&args[..], &["--format", "json"]].concat())).unwrap();
    let path = path.to_str().unwrap();

    let result = json(&[&args[..], &["--compare", path]].concat());
    let compare = &result["compare"];
    assert_eq!(compare["arena_bytes"], 1.0);
    assert_eq!(compare["differs"], Value::Array(vec![]));
    // A busy machine may halve the speed of either run; a mistake in units would be a thousand.
    let near = |ratio: &Value| assert!((0.1..10.0).contains(&ratio.as_f64().unwrap()), "{ratio}");
    near(&compare["p50"]);
    near(&compare["min"]);
    near(&compare["peak_rss_bytes"]);
    let steps = compare["steps"].as_array().unwrap();
    assert_eq!(steps.len(), result["profile"].as_array().unwrap().len());
    let mut ratios: Vec<f64> = steps.iter().map(|s| s["ratio"].as_f64().unwrap()).collect();
    ratios.sort_by(f64::total_cmp);
    near(&ratios[ratios.len() / 2].into());

    let other = ["--size", "64x48", "--num-runs", "1", "-j", "1", "--level", "scalar", "--compare", path];
    let result = json(&other);
    let differs = result["compare"]["differs"].to_string();
    assert!(differs.contains("input: 64x48, was 96x64") && differs.contains("macs_per_frame"), "{differs}");
    assert_eq!(result["compare"]["steps"], Value::Array(vec![]), "no profile, no Steps");
    assert!(printed(&other).contains("compared  p50"));
}

#[test]
fn a_level_is_measured_against_its_own_peak() {
    let result = json(&["--size", "32x32", "--num-runs", "1", "-j", "1", "--level", "scalar"]);
    assert_eq!(result["level"], "scalar");
    let share = result["peak_share"].as_f64().unwrap();
    assert!(share > 0.0 && share < 2.0, "{share}");
}

#[test]
fn csv_is_two_lines_of_as_many_fields() {
    let text = printed(&[&SMALL[..], &["--format", "csv"]].concat());
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].len(), lines[1].len(), "{text}");
    let field = |name: &str| lines[1][lines[0].iter().position(|n| *n == name).expect(name)];
    assert_eq!((field("width"), field("runs"), field("pixels")), ("64", "7", "rgb"));
    assert!(field("peak_gmacs_per_s").parse::<f64>().unwrap() > 0.0);
}

/// What windows need depends on what they show; a made picture says nothing about a camera's.
#[test]
fn scenes_are_measured_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let scene = |name: &str, header: &str, frames: &[&[u8]]| {
        let mut file = format!("YUV4MPEG2 W64 H48 F25:1 Cmono{header}\n").into_bytes();
        for frame in frames {
            file.extend(b"FRAME\n");
            file.extend(*frame);
        }
        let path = folder.path().join(name);
        std::fs::write(&path, file).unwrap();
        path.to_str().unwrap().to_string()
    };
    let flat = [90; 64 * 48];
    // Stripes, which are edges wherever one looks.
    let stripes: Vec<u8> = (0..64 * 48).map(|i| if i % 64 / 3 % 2 == 0 { 30 } else { 220 }).collect();
    let range = " XCOLORRANGE=FULL";
    let share = |frames: &[&[u8]], branches: &str| {
        let file = scene("scene.y4m", range, frames);
        let given = ["--scene", &file, "--pixels", "gray", "--num-runs", "4", "-j", "1", "--branches", branches];
        let result = json(&given);
        assert_eq!((&result["input"]["width"], &result["input"]["height"]), (&64.into(), &48.into()));
        assert_eq!(result["allocs_per_frame"], 0.0);
        result["macs_share"].as_f64().unwrap()
    };
    assert_eq!(share(&[&flat], "both"), 1.0);
    let (least, most) = (share(&[&flat], "auto"), share(&[&stripes], "auto"));
    assert!(least < 0.1 && most > 0.5, "{least} {most}");
    // Two frames in turn, as often each.
    assert!((share(&[&flat, &stripes], "auto") - (least + most) / 2.0).abs() < 1e-6);
    for (name, frames, why) in [("none.y4m", &[][..], "frame"), ("short.y4m", &[&flat[..100]], "short.y4m")] {
        assert!(refused(&["--scene", &scene(name, range, frames)]).contains(why));
    }
    assert!(refused(&["--scene", "missing.y4m"]).contains("missing.y4m"));
}

#[test]
fn says_what_it_cannot_compare_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    for (name, text) in [("empty.json", ""), ("other.json", "{}"), ("zero.json", r#"{"latency_ms":{"p50":0}}"#)] {
        std::fs::write(path(name), text).unwrap();
        assert!(refused(&["--compare", &path(name)]).contains(name));
    }
    assert!(!Path::new(&path("none.json")).exists());
    assert!(refused(&["--compare", &path("none.json")]).contains("none.json"));
    assert!(refused(&["--format", "csv", "--profile"]).contains("csv"));
}
