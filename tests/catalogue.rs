//! Models by name: `BIFOCAL_MODELS`, what `models list` shows of its folders, and what the `--model-*` options change.

use std::path::Path;
use std::process::{Command, Output};

fn bifocal(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(arguments).env("BIFOCAL_MODELS", folder).output().expect("the program starts")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The line of a field.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
    line[15..].to_string()
}

#[test]
fn folders_of_models() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    for (from, to) in [("compact-x2", "mine"), ("int8-compact-x2", "quick"), ("refused-two-inputs", "never")] {
        std::fs::copy(ours.join(from).with_extension("onnx"), folder.path().join(to).with_extension("onnx")).unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "no model").unwrap();
    let listed = text(&bifocal(folder.path(), &["models", "list"]));
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_string();
    assert!(line("mine").contains(" float") && line("quick").contains(" int8"), "{listed}");
    assert!(line("never").contains("refused: model") && line("never").contains("2 inputs"), "{listed}");
    assert!(line("ctnet-tiny-x2 ").contains(" int8") && !listed.contains("notes"), "{listed}");

    assert_eq!(field(&text(&bifocal(folder.path(), &["models", "inspect", "quick"])), "path"), "int8");
    text(&bifocal(folder.path(), &["plan", "-m", "mine", "--size", "64x48"]));
    let unknown = error(&bifocal(folder.path(), &["plan", "-m", "other", "--size", "64x48"]));
    assert!(unknown.contains("no model 'other'") && unknown.contains("mine") && unknown.contains("quick"), "{unknown}");
    // A name is a name: it leads to no other folder.
    let above = error(&bifocal(&folder.path().join("deeper"), &["plan", "-m", "../mine", "--size", "64x48"]));
    assert!(above.contains("cannot read model ../mine"), "{above}");
}

#[test]
fn options_say_what_a_model_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("{}/tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    let plan = |model: &str, more: &[&str]| {
        let model = file(model);
        let arguments = [&["plan", "-m", &model, "--size", "64x48", "--format", "json"], more].concat();
        bifocal(folder.path(), &arguments)
    };
    let output = |output: Output| -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&text(&output)).unwrap()["output"]["width"].clone()
    };
    assert_eq!(output(plan("srcnn-y-x1", &[])), 64);
    assert_eq!(output(plan("srcnn-y-x1", &["--model-scale", "3"])), 192);
    assert_eq!(output(plan("compact-x2", &["--model-scale", "2"])), 128);
    for (model, more, reason) in [
        ("compact-x2", ["--model-scale", "3"], "enlarges 2 times itself"),
        ("espcn-y-x2", ["--model-order", "bgr"], "sees luma"),
        ("compact-x2", ["--model-range", "0..7"], "0..7"),
    ] {
        let error = error(&plan(model, &more));
        assert!(error.contains(reason), "{error}");
    }
}
