//! The walls between crates, read off `cargo metadata`.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

const STAGES: [&str; 5] = ["dataset", "preprocess", "text", "train", "evaluate"];

/// Direct normal dependencies of every workspace crate but this one.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let packages = packages.filter(|package| package["name"] != env!("CARGO_PKG_NAME"));
    packages
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap().iter();
            let normal = all.filter(|dependency| dependency["kind"].is_null());
            (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

#[test]
fn no_stage_knows_another() {
    let dependencies = dependencies();
    for stage in STAGES {
        let known = &dependencies[stage];
        let other = known.iter().find(|name| STAGES.contains(&name.as_str()));
        assert_eq!(other, None, "{stage} imports a stage");
    }
}

#[test]
fn libraries_know_only_what_lies_below_them() {
    let dependencies = dependencies();
    let allowed = [
        ("artifacts", vec![]),
        ("imaging", vec![]),
        ("metrics", vec![]),
        ("model", vec!["artifacts", "imaging"]),
        ("caption", vec!["artifacts", "imaging", "model"]),
        ("serve", vec!["caption"]),
    ];
    for (library, allowed) in allowed {
        let ours = dependencies[library].iter().filter(|name| dependencies.contains_key(*name));
        assert_eq!(ours.collect::<Vec<_>>(), allowed, "what {library} imports");
    }
}

#[test]
fn what_needs_no_network_builds_without_libtorch() {
    let dependencies = dependencies();
    for name in ["artifacts", "imaging", "metrics", "dataset", "text"] {
        let needs: Vec<&String> =
            dependencies[name].iter().filter(|other| ["tch", "model"].contains(&other.as_str())).collect();
        assert!(needs.is_empty(), "{name} imports {needs:?}");
    }
}
