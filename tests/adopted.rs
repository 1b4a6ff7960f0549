//! Features that another program made are trained on; those that do not fit the dataset are refused.

use std::path::{Path, PathBuf};
use std::process::Command;

use artifacts::features::FeatureSet;
use dataset::Dataset;
use evaluate::Evaluate;
use pipeline_tests::{Workspace, message};
use preprocess::Preprocess;
use preprocess::adopt::{Request, adopt};
use stage::Outcome;
use text::Text;
use train::Train;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24

[preprocess]
backbone = "resnet18"
part_images = 10

[text]
min_count = 1

[train]
decoders = "soft_attention"
epochs = 1
batch_images = 8
validation_images = 2
soft_attention = { embedding_size = 8, attention_size = 8, hidden_size = 8 }
"#;

fn take_over(
    workspace: &Workspace,
    files: &[PathBuf],
    grid: Option<[usize; 2]>,
    overrides: &[&str],
) -> anyhow::Result<Outcome> {
    let request =
        Request { files: files.to_vec(), name: "colours".to_owned(), grid, stage: workspace.args(overrides) };
    adopt(&request, &workspace.context(overrides)?)
}

/// Every grid of a set, with the image that it is of.
fn grids(folder: &Path) -> Vec<(String, Vec<f32>)> {
    let set = FeatureSet::open(folder).unwrap();
    set.rows()
        .map(Result::unwrap)
        .map(|row| (row.key.image_id, row.grid.into_iter().map(f32::from).collect()))
        .collect()
}

#[test]
fn the_script_of_the_documentation_makes_features_that_are_trained_on() {
    let section = include_str!("../docs/features.md").split("## Features of another program").nth(1).unwrap();
    let (_, code) = section.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let Some(python) = needs::python("import numpy, pyarrow, PIL") else { return };
    let workspace = Workspace::new(CONFIG);
    workspace.run::<Dataset>(&[]).unwrap();
    let run = workspace.run_folder();
    let code = code.replace("data/runs/demo", &run.path().display().to_string());
    let output = Command::new(python).current_dir(workspace.path("")).args(["-c", &code]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let file = workspace.path("colours.parquet");
    assert!(!take_over(&workspace, std::slice::from_ref(&file), None, &[]).unwrap().up_to_date);
    assert!(take_over(&workspace, &[file], None, &[]).unwrap().up_to_date);
    let folder = run.features("colours");
    let set = FeatureSet::open_named(&folder, "colours").unwrap();
    assert_eq!((set.spec().grid, set.spec().channels), ([4, 4], 3));
    assert!(set.parts().all(|part| part.unwrap().is_checked()));
    // Mean colours: the pooled vector is their mean too.
    let grids = grids(&folder);
    assert_eq!(grids.len(), 24);
    for ((image, grid), row) in grids.iter().zip(set.rows()) {
        for (channel, pooled) in row.unwrap().pooled.into_iter().enumerate() {
            let mean = grid.iter().skip(channel).step_by(3).sum::<f32>() / 16.0;
            assert!(
                (mean - f32::from(pooled)).abs() < 2e-3 && (0.0..=1.0).contains(&mean),
                "{image}: {mean}"
            );
        }
    }
    let colours = ["preprocess.backbone=colours"];
    workspace.run::<Text>(&colours).unwrap();
    workspace.run::<Train>(&colours).unwrap();
    workspace.run::<Evaluate>(&colours).unwrap();
}

#[test]
fn what_is_taken_over_is_what_was_there_and_fits_the_dataset() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder().features("resnet18");
    let parts: Vec<PathBuf> =
        FeatureSet::open(&folder).unwrap().parts().map(|part| part.unwrap().path).collect();
    let refusal =
        |files: &[PathBuf], grid, overrides: &[&str]| message(take_over(&workspace, files, grid, overrides));
    let said = refusal(&parts, Some([3, 3]), &[]);
    assert!(said.contains("49 regions are not 3×3: say with --grid"), "{said}");
    let said = refusal(&[&parts[..], &parts[..1]].concat(), None, &[]);
    assert!(said.contains("is also in"), "{said}");
    let said = refusal(&parts[1..], None, &[]);
    assert!(
        said.contains("10 of 24 images cannot be used") && said.contains("no file has its features"),
        "{said}"
    );
    let said = refusal(&[workspace.part(&workspace.run_folder().dataset(), "captions")], None, &[]);
    assert!(said.contains("it has no column grid, but image_id, caption_id, caption"), "{said}");
    assert!(!workspace.run_folder().features("colours").exists());

    let outcome = take_over(&workspace, &parts[1..], None, &["preprocess.max_bad_fraction=0.5"]).unwrap();
    assert_eq!(outcome.manifest.warnings.len(), 10);
    take_over(&workspace, &parts, None, &[]).unwrap();
    assert_eq!(grids(&workspace.run_folder().features("colours")), grids(&folder));
    // Another dataset, which has fewer images.
    workspace.run::<Dataset>(&["dataset.scenes=20"]).unwrap();
    let said = refusal(&parts, None, &[]);
    assert!(said.contains("is not in the dataset's images"), "{said}");
}
