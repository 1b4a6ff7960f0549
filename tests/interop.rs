//! The feature cache in other tools: every example of `docs/features.md`, run by Python, beside our own reader.

use std::path::{Path, PathBuf};
use std::process::Command;

use artifacts::Manifest;
use artifacts::features::FeaturePart;
use dataset::Dataset;
use half::f16;
use pipeline_tests::Workspace;
use preprocess::Preprocess;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24

[preprocess]
backbone = "resnet18"
part_images = 10
"#;

const DOCS: &str = include_str!("../docs/features.md");
/// The folder that the examples name.
const FOLDER: &str = "data/runs/demo/features/efficientnet_lite0";

/// Prints what an example leaves behind, whatever the tool calls an array.
const PRINT: &str = r#"
import json
def flat(values):
    return [x for value in values for x in flat(value)] if hasattr(values, "__len__") else [float(values)]
print(json.dumps([flat(mean), flat(grid)]))
"#;

/// Title and code of each fenced Python block.
fn examples() -> Vec<(&'static str, &'static str)> {
    let sections = DOCS.split("\n### ").skip(1);
    let example = |section: &'static str| {
        let (title, rest) = section.split_once('\n')?;
        let (code, _) = rest.split_once("```python\n")?.1.split_once("```")?;
        Some((title, code))
    };
    sections.map(|section| example(section).expect("a section without an example")).collect()
}

/// A Python with the packages that an example imports.
fn python(code: &str) -> Option<PathBuf> {
    let import = |line: &&str| line.starts_with("import ") || line.starts_with("from ");
    needs::python(&code.lines().filter(import).collect::<Vec<_>>().join("\n"))
}

/// The mean pooled vector of a folder and its first grid, read by ourselves.
fn expected(folder: &Path) -> (Vec<f64>, Vec<f64>) {
    let outputs = Manifest::read(folder).unwrap().outputs;
    let parts: Vec<FeaturePart> =
        outputs.iter().map(|output| FeaturePart::open(&folder.join(&output.file)).unwrap()).collect();
    let rows = parts.iter().flat_map(|part| (0..part.keys.len()).map(|row| part.pooled(row).unwrap()));
    let rows: Vec<Vec<f16>> = rows.collect();
    let mean = |channel: usize| rows.iter().map(|row| row[channel].to_f64()).sum::<f64>() / rows.len() as f64;
    let mut grid = Vec::new();
    parts[0].grid(0, &mut grid).unwrap();
    ((0..rows[0].len()).map(mean).collect(), grid.into_iter().map(f16::to_f64).collect())
}

#[test]
fn every_example_of_the_documentation_reads_the_numbers_that_we_read() {
    let examples = examples();
    assert_eq!(examples.len(), 5);
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    let examples: Vec<_> =
        examples.into_iter().filter_map(|(title, code)| Some((title, code, python(code)?))).collect();
    workspace.run::<Dataset>(&[]).unwrap();
    for dtype in ["f16", "f32"] {
        workspace.run::<Preprocess>(&[&format!("preprocess.dtype={dtype}")]).unwrap();
        let folder = workspace.run_folder().features("resnet18");
        let (mean, grid) = expected(&folder);
        assert!(mean.iter().any(|&value| value > 0.0));
        for (title, code, python) in &examples {
            assert!(code.contains(FOLDER), "{title} names no folder");
            let script = code.replace(FOLDER, &folder.display().to_string()) + PRINT;
            let mut command = Command::new(python);
            // Where Hugging Face's library keeps its copies.
            command.env("HF_HOME", workspace.path("huggingface")).env("HF_HUB_OFFLINE", "1");
            let output = command.args(["-c", &script]).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{title}, {dtype}: {stderr}");
            let (their_mean, their_grid): (Vec<f64>, Vec<f64>) =
                serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(their_grid, grid, "{title}, {dtype}");
            assert_eq!(their_mean.len(), mean.len());
            let wrong = mean
                .iter()
                .zip(&their_mean)
                .find(|(ours, theirs)| (*ours - *theirs).abs() > 1e-5 * ours.abs() + 1e-7);
            assert_eq!(wrong, None, "{title}, {dtype}");
        }
    }
}
