//! The model card says what the shipped files are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the command prints as JSON.
fn json(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_bifocal")).args(args).args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rows of the card's first table by file: scale, parameters, MACs per input pixel, dB, SHA-256.
fn card() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("models/README.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| file |")).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace(['`', ','], "")).collect();
    let rows = rows.take_while(|row| row.starts_with('|')).map(cells);
    rows.map(|mut row: Vec<String>| (row.remove(0), row)).collect()
}

fn files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(Path::new(ROOT).join("models")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "onnx"));
    files.sort();
    files
}

#[test]
fn card_and_files_agree() {
    let mut card = card();
    let listed = json(&["models", "list"]);
    let embedded: Vec<&str> =
        listed["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    for file in files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let path = file.to_str().unwrap();
        let row = card.remove(name).unwrap_or_else(|| panic!("the card says nothing of {name}"));
        assert!(embedded.contains(&name.trim_end_matches(".onnx")), "{name} is not embedded: {embedded:?}");

        let about = json(&["models", "inspect", path]);
        let bench = ["bench", "-m", path, "--size", "64x64", "--num-runs", "1", "--warmup-runs", "0"];
        let macs = json(&bench)["macs_per_frame"].as_u64().unwrap() / (64 * 64);
        let pictures = Path::new(ROOT).join("tests/pictures");
        let psnr = json(&["eval", pictures.to_str().unwrap(), "-m", path])["mean_psnr_y"].as_f64().unwrap();
        let hash: String = Sha256::digest(std::fs::read(&file).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
        let found =
            [about["scale"].to_string(), about["parameters"].to_string(), macs.to_string(), format!("{psnr:.2}"), hash];
        assert_eq!(row, found, "{name}");
    }
    assert!(card.is_empty(), "the card speaks of files that are not there: {card:?}");
}
