//! Which room may use which, read from the `crate::` paths of the sources.

use std::collections::BTreeMap;
use std::path::Path;

/// A room, and the rooms it may use beside itself. The table of `src/lib.rs`; change both together.
const RULES: &[(&str, &[&str])] = &[
    ("geom", &[]),
    ("frame", &["kernels", "geom"]),
    ("memory", &[]),
    ("model", &["geom"]),
    ("kernels", &["geom"]),
    ("plan", &["model", "kernels", "memory", "geom"]),
    ("tile", &["geom", "memory"]),
    ("engine", &["plan", "tile", "kernels", "memory", "frame", "geom", "model"]),
    ("io", &["frame", "geom"]),
    ("live", &["engine", "io", "frame", "geom"]),
    ("board", &["geom", "kernels", "memory"]),
    ("bench", &["engine", "board", "frame", "geom"]),
    ("boot", &[]),
    ("cli", &["board", "engine", "frame", "geom", "io", "kernels", "live", "memory", "model", "plan", "tile", "bench"]),
];

/// Rooms that may hold unsafe code.
const UNSAFE: &[&str] = &["kernels/arch", "memory", "io/sys"];

fn sources(folder: &Path, found: &mut Vec<(String, String)>, root: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found, root);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found, &root);
    found
}

/// Rooms named behind `crate::`, as in `use crate::a`, `use crate::{a, b::c}` or `crate::a::f()`.
fn uses(text: &str) -> Vec<String> {
    let word = |s: &str| s.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.push(word(&std::mem::take(&mut name))),
                    _ if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            rooms.push(word(&name));
        } else {
            rooms.push(word(rest));
        }
    }
    rooms
}

#[test]
fn rooms_reach_only_where_they_may() {
    let rules: BTreeMap<_, _> = RULES.iter().copied().collect();
    let mut reached = 0;
    for (file, text) in all() {
        let room = file.split('/').next().unwrap().trim_end_matches(".rs").to_string();
        if room == "lib" || room == "main" {
            continue;
        }
        let may = rules.get(room.as_str()).unwrap_or_else(|| panic!("{file}: the table has no room '{room}'"));
        for other in uses(&text).into_iter().filter(|o| rules.contains_key(o.as_str())) {
            assert!(other == room || may.contains(&other.as_str()), "{file} reaches into '{other}'");
            reached += 1;
        }
    }
    assert!(reached > 20, "the paths were read");
}

#[test]
fn only_model_names_tract() {
    for (file, text) in all() {
        let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
        let named = code.filter(|l| l.contains("tract_")).count();
        assert!(named == 0 || file.starts_with("model/"), "{file} names tract");
    }
}

#[test]
fn unsafe_is_fenced_and_explained() {
    for (file, text) in all() {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            if !(code.contains("unsafe {") || code.contains("unsafe impl")) {
                continue;
            }
            assert!(UNSAFE.iter().any(|room| file.starts_with(room)), "{file}:{}: unsafe outside its rooms", i + 1);
            let above = lines[..i].iter().rev().take(8);
            let explained = above.chain([line]).any(|l| l.contains("SAFETY:"));
            assert!(explained, "{file}:{}: unsafe without SAFETY", i + 1);
        }
    }
}

#[test]
fn the_rules_can_be_broken() {
    assert_eq!(uses("use crate::{model::{a, b}, geom};\ncrate::plan::x()"), ["model", "geom", "plan"]);
}
