//! Makes the table of boards: every `boards/NAME.toml` is one. A wrong file ends the build with its line.

// The same code as in the library; the build uses only a part of it.
#[allow(dead_code)]
#[path = "src/board/parse.rs"]
mod parse;
#[allow(dead_code)]
#[path = "src/board/profile.rs"]
mod profile;
#[allow(dead_code)]
#[path = "src/memory"]
mod memory {
    mod budget;
    pub use budget::Budget;
}

use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=boards");
    for file in ["parse.rs", "profile.rs"] {
        println!("cargo::rerun-if-changed=src/board/{file}");
    }
    println!("cargo::rerun-if-changed=src/memory/budget.rs");
    if let Err(problem) = run() {
        println!("cargo::error={problem}");
    }
}

fn run() -> Result<(), String> {
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("boards");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut table = String::from("&[\n");
    let mut owners = HashMap::new();
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_stem().and_then(|name| name.to_str()).ok_or("a board's name is not text")?;
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let board = profile::Board::parse(name, &text).map_err(|e| e.to_string())?;
        for id in board.compatible {
            if let Some(other) = owners.insert(id.clone(), name.to_string()) {
                return Err(format!("boards/{name}.toml: '{id}' is in boards/{other}.toml already"));
            }
        }
        table += &format!("({name:?}, include_str!({:?})),\n", file.display().to_string());
    }
    table += "]";
    let out = Path::new(&variable("OUT_DIR")?).join("boards.rs");
    std::fs::write(&out, table).map_err(|e| format!("{}: {e}", out.display()))
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("cargo sets {name}"))
}
