//! Makes the table of boards, where a wrong file ends the build with its line: every `boards/NAME.toml` is one. And
//! compresses the models that are inside the binary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cli")]
    report(boards::table());
    #[cfg(feature = "models")]
    report(models::compress());
}

#[cfg(any(feature = "cli", feature = "models"))]
fn report(made: Result<(), String>) {
    if let Err(problem) = made {
        println!("cargo::error={problem}");
    }
}

// The same code as in the library; the build uses only a part of it.
#[cfg(feature = "cli")]
#[allow(dead_code)]
#[path = "src/board/parse.rs"]
mod parse;
#[cfg(feature = "cli")]
#[allow(dead_code)]
#[path = "src/board/profile.rs"]
mod profile;
#[cfg(feature = "cli")]
#[allow(dead_code)]
#[path = "src/memory"]
mod memory {
    mod budget;
    pub use budget::Budget;
}

/// The table of levels stands among the kernels, which the build has not: a test compares the boards with it.
#[cfg(feature = "cli")]
mod kernels {
    pub mod isa {
        pub fn known(_: &str) -> Result<(), String> {
            Ok(())
        }
    }
}

#[cfg(feature = "cli")]
mod boards {
    use std::collections::HashMap;

    use crate::files::{files, write};
    use crate::profile;

    pub fn table() -> Result<(), String> {
        for file in ["board/parse.rs", "board/profile.rs", "memory/budget.rs"] {
            println!("cargo::rerun-if-changed=src/{file}");
        }
        let mut table = String::from("&[\n");
        let mut owners = HashMap::new();
        for file in &files("boards", "toml")? {
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
        write("boards.rs", table.as_bytes())
    }
}

#[cfg(feature = "models")]
mod models {
    use miniz_oxide::deflate::compress_to_vec_zlib;

    use crate::files::{files, write};

    pub fn compress() -> Result<(), String> {
        for file in &files("models", "onnx")? {
            let name = file.file_name().and_then(|name| name.to_str()).ok_or("a model's name is not text")?;
            let bytes = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
            write(&format!("{name}.z"), &compress_to_vec_zlib(&bytes, 9))?;
        }
        Ok(())
    }
}

#[cfg(any(feature = "cli", feature = "models"))]
mod files {
    use std::path::{Path, PathBuf};

    /// Files of a folder beside this one by their ending, sorted. A change in the folder, a new file too, builds anew.
    pub fn files(folder: &str, ending: &str) -> Result<Vec<PathBuf>, String> {
        println!("cargo::rerun-if-changed={folder}");
        let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join(folder);
        let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == ending));
        files.sort();
        Ok(files)
    }

    /// Writes a file that the library includes.
    pub fn write(name: &str, bytes: &[u8]) -> Result<(), String> {
        let out = Path::new(&variable("OUT_DIR")?).join(name);
        std::fs::write(&out, bytes).map_err(|e| format!("{}: {e}", out.display()))
    }

    fn variable(name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|_| format!("cargo sets {name}"))
    }
}
