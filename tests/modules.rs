//! Which module may use which: `src/lib.rs` has the table, the `crate::` and `super::` paths of the sources are compared
//! with it. And no modules, nor the files of one, use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Modules that may hold unsafe code; `deny(unsafe_code)` and clippy's `undocumented_unsafe_blocks` see to the rest.
const UNSAFE: &[&str] = &["kernels/", "memory/", "io/sys/"];

type Edges = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Packages of their own have their own rules.
        if path.join("Cargo.toml").exists() {
            continue;
        }
        if path.is_dir() {
            sources(&path, root, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Path below `src` and text of every source.
fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &root, &mut found);
    found.sort();
    found
}

/// Without comments, and without the unit tests, which stand last.
fn code(text: &str) -> String {
    let tests = ["#[cfg(test)]\nmod ", "#[cfg(all(test"].iter().filter_map(|mark| text.find(mark)).min();
    let lines = text[..tests.unwrap_or(text.len())].lines();
    lines.map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The table of `src/lib.rs`: each module, and what it may use.
fn table(lib: &str) -> Edges {
    let section = lib.split("//! # The modules").nth(1).expect("the section").split("//! # ").next().unwrap();
    let mut table = Edges::new();
    for line in section.lines().filter_map(|line| line.strip_prefix("//! | `")) {
        let cells: Vec<&str> = line.trim_end().trim_end_matches('|').split(" | ").map(str::trim).collect();
        let name = cells[0].trim_end_matches('`');
        let may = cells.last().unwrap().split(',').map(str::trim).filter(|other| *other != "-");
        table.insert(name.to_string(), may.map(str::to_string).collect());
    }
    table
}

/// The names that follow `prefix`, as `a`, `b` and `c` in `use crate::{a, b::{d, e}}; crate::c::f()` follow `crate::`.
fn names_after(text: &str, prefix: &str) -> Vec<String> {
    let word = |s: &str| s.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        // Not the end of a longer path.
        if text[..at].ends_with(|c: char| c == ':' || c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let (mut depth, mut name) = (0, String::new());
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(word(&std::mem::take(&mut name))),
                _ if depth == 0 => name.push(c),
                _ => {}
            }
        }
        names.push(word(&name));
    }
    names
}

/// A circle of edges, if there is one.
fn circle(edges: &Edges) -> Option<Vec<String>> {
    fn visit(node: &str, edges: &Edges, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        if let Some(at) = path.iter().position(|other| other == node) {
            return Some(path[at..].to_vec());
        }
        if !done.insert(node.to_string()) {
            return None;
        }
        path.push(node.to_string());
        let found = edges.get(node).into_iter().flatten().find_map(|next| visit(next, edges, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|node| visit(node, edges, &mut Vec::new(), &mut done))
}

/// The module at the top that a file belongs to.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let sources = all();
    let table = table(&sources.iter().find(|(file, _)| file == "lib.rs").unwrap().1);
    let mut used = Edges::new();
    for (file, text) in sources.iter().filter(|(file, _)| !["lib.rs", "main.rs"].contains(&file.as_str())) {
        let own = module(file);
        let may = table.get(own).unwrap_or_else(|| panic!("{file}: the table of src/lib.rs has no module '{own}'"));
        // Unit tests too keep to the table.
        for other in names_after(text, "crate::").into_iter().filter(|o| table.contains_key(o) && o != own) {
            assert!(may.contains(&other), "{file} uses '{other}', which the table of src/lib.rs does not allow");
            used.entry(own.to_string()).or_default().insert(other);
        }
    }
    assert!(used.values().map(BTreeSet::len).sum::<usize>() > 20, "the paths were read");
    assert_eq!(circle(&used), None, "modules in a circle");
    for (own, may) in &table {
        let spare: Vec<_> = may.iter().filter(|other| !used.get(own).is_some_and(|u| u.contains(*other))).collect();
        assert!(spare.is_empty(), "the table allows {own} more than it uses: {spare:?}");
    }
}

/// Within a module: which of its files use which, directly or by a name that the module re-exports.
#[test]
fn files_of_a_module_form_no_circle() {
    let sources = all();
    let folders: BTreeSet<&str> = sources.iter().filter_map(|(file, _)| file.rsplit_once('/').map(|f| f.0)).collect();
    let mut circles = Vec::new();
    for folder in folders {
        let Some((_, parent)) = sources.iter().find(|(file, _)| *file == format!("{folder}/mod.rs")) else { continue };
        let child = |file: &str| Some(module(file.strip_prefix(folder)?.strip_prefix('/')?).to_string());
        let children: BTreeSet<String> = sources.iter().filter_map(|(file, _)| child(file)).collect();
        let parent = code(parent);
        let mut owner: BTreeMap<String, String> = children.iter().map(|c| (c.clone(), c.clone())).collect();
        for child in &children {
            for name in names_after(&parent, &format!("use {child}::")) {
                owner.entry(name).or_insert(child.clone());
            }
        }
        let mut edges = Edges::new();
        for (file, text) in &sources {
            let Some(own) = child(file).filter(|own| own != "mod") else { continue };
            let depth = file[folder.len() + 1..].trim_end_matches("/mod.rs").matches('/').count() + 1;
            let (text, up) = (code(text), "super::".repeat(depth));
            let paths = [up, format!("crate::{}::", folder.replace('/', "::"))];
            for name in paths.iter().flat_map(|path| names_after(&text, path)) {
                if let Some(other) = owner.get(&name).filter(|other| **other != own) {
                    edges.entry(own.clone()).or_default().insert(other.clone());
                }
            }
        }
        circles.extend(circle(&edges).map(|files| format!("{folder}: {}", files.join(" -> "))));
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn only_model_names_tract() {
    for (file, text) in all() {
        assert!(file.starts_with("model/") || !code(&text).contains("tract_"), "{file} names tract");
    }
}

#[test]
fn unsafe_code_stays_where_it_belongs() {
    for (file, text) in all() {
        let allowed = UNSAFE.iter().any(|module| file.starts_with(module));
        assert!(allowed || !text.contains("allow(unsafe_code)"), "{file}: unsafe code outside {UNSAFE:?}");
    }
}

#[test]
fn the_rules_can_be_broken() {
    let text = "use crate::{model::{a, b}, geom};\ncrate::plan::x(); use super::Y; use super::super::Z;";
    assert_eq!(names_after(text, "crate::"), ["model", "geom", "plan"]);
    assert_eq!(names_after(text, "super::"), ["Y", "super"]);
    assert_eq!(names_after(text, "super::super::"), ["Z"]);
    let lib = "//! # The modules\n//! | module | a | b |\n//! | `x` | text | y, z |\n//! | `y` | text | - |\n//! # End\n//! | `z` |";
    let table = table(lib);
    assert_eq!(table.len(), 2);
    assert!(table["x"].contains("z") && table["y"].is_empty());
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges = Edges::new();
        for (a, b) in pairs {
            edges.entry(a.to_string()).or_default().insert(b.to_string());
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap(), ["b", "c"]);
}
