//! The walls: which crate knows which, what each must never know, and no circle between files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What a crate may know, and what it must never know.
struct Wall {
    name: &'static str,
    /// The crates of the workspace that it imports: exactly these.
    knows: &'static [&'static str],
    /// Crates of others that would bring in what is not its business.
    never: &'static [&'static str],
}

const TENSORS: &[&str] = &["tch", "torch-sys"];

const WALLS: [Wall; 23] = [
    Wall { name: "annotations", knows: &[], never: &["tch", "image", "parquet", "anyhow", "clap"] },
    Wall { name: "artifacts", knows: &[], never: &["tch", "image", "anyhow", "clap", "indicatif", "toml"] },
    Wall { name: "download", knows: &[], never: &["tch", "image", "parquet", "anyhow", "clap"] },
    Wall { name: "imaging", knows: &[], never: &["tch", "parquet", "arrow-array", "anyhow", "clap"] },
    Wall { name: "store", knows: &[], never: &["tch", "image", "anyhow", "clap", "arrow-array"] },
    Wall {
        name: "images",
        knows: &["artifacts", "imaging", "store"],
        never: &["tch", "image", "anyhow", "clap", "object_store", "tokio"],
    },
    Wall {
        name: "shared",
        knows: &["artifacts", "stage", "store"],
        never: &["tch", "image", "parquet", "arrow-array", "clap", "object_store"],
    },
    Wall { name: "xmp", knows: &[], never: &["tch", "image", "parquet", "anyhow", "clap"] },
    Wall { name: "metrics", knows: &[], never: &["tch", "image", "parquet", "anyhow", "clap"] },
    Wall { name: "stage", knows: &["artifacts"], never: &["tch", "image", "parquet", "arrow-array"] },
    Wall { name: "scoring", knows: &["annotations", "artifacts", "metrics", "stage"], never: TENSORS },
    Wall {
        name: "model",
        knows: &["artifacts", "download", "imaging"],
        never: &["tch", "torch-sys", "ort", "anyhow", "clap", "indicatif", "toml"],
    },
    Wall {
        name: "torch",
        knows: &["artifacts", "model"],
        never: &["ort", "anyhow", "clap", "indicatif", "toml"],
    },
    Wall {
        name: "onnx",
        knows: &["artifacts", "model"],
        never: &["tch", "torch-sys", "image", "anyhow", "clap", "toml"],
    },
    Wall {
        name: "dataset",
        knows: &["annotations", "artifacts", "download", "images", "imaging", "shared", "stage", "store"],
        never: &["tch", "torch-sys", "object_store", "tokio"],
    },
    Wall { name: "text", knows: &["artifacts", "metrics", "stage"], never: &["tch", "image"] },
    Wall {
        name: "preprocess",
        knows: &["artifacts", "images", "imaging", "model", "onnx", "shared", "stage", "store", "torch"],
        never: &["parquet", "object_store"],
    },
    Wall {
        name: "learn",
        knows: &["artifacts", "torch"],
        never: &["image", "parquet", "arrow-array", "clap"],
    },
    Wall {
        name: "tune",
        knows: &["artifacts", "images", "imaging", "learn", "model", "stage", "torch"],
        never: &["parquet", "arrow-array"],
    },
    Wall {
        name: "train",
        knows: &["artifacts", "learn", "metrics", "model", "shared", "stage", "torch"],
        never: &["image", "parquet"],
    },
    Wall {
        name: "evaluate",
        knows: &[
            "artifacts",
            "caption",
            "images",
            "imaging",
            "metrics",
            "model",
            "scoring",
            "shared",
            "stage",
            "torch",
        ],
        never: &["parquet", "arrow-array"],
    },
    Wall {
        name: "export",
        knows: &["artifacts", "metrics", "model", "onnx", "scoring", "stage"],
        never: &["tch", "image", "parquet", "arrow-array"],
    },
    Wall {
        name: "caption",
        knows: &["artifacts", "imaging", "model", "onnx", "stage", "xmp"],
        never: &["tch", "torch-sys", "ort", "parquet", "axum", "roxmltree"],
    },
];
/// The server stands on the captioner alone.
const SERVE: Wall = Wall { name: "serve", knows: &["caption"], never: TENSORS };

/// Every wall; a crate without one fails a test.
fn walls() -> impl Iterator<Item = Wall> {
    WALLS.into_iter().chain([SERVE])
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Direct normal dependencies of every crate below `crates/`.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let ours = packages.filter(|package| text(&package["manifest_path"]).contains("/crates/"));
    ours.map(|package| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let normal = all.filter(|dependency| dependency["kind"].is_null());
        (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
    })
    .collect()
}

#[test]
fn every_crate_knows_what_its_wall_says_and_nothing_else() {
    let dependencies = dependencies();
    let walled: BTreeSet<&str> = walls().map(|wall| wall.name).collect();
    assert_eq!(
        dependencies.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        walled,
        "crates without a wall"
    );
    for wall in walls() {
        let needs = &dependencies[wall.name];
        let ours: BTreeSet<&str> =
            needs.iter().map(String::as_str).filter(|name| dependencies.contains_key(*name)).collect();
        assert_eq!(ours, BTreeSet::from_iter(wall.knows.iter().copied()), "what {} imports", wall.name);
        let forbidden = wall.never.iter().find(|name| needs.contains(**name));
        assert_eq!(forbidden, None, "{} must never know this", wall.name);
    }
}

/// Whoever uses a model needs no libtorch: neither to build the programs nor to run them.
#[test]
fn only_what_trains_or_runs_on_gpus_builds_with_libtorch() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let with: BTreeSet<String> = dependencies()
        .into_keys()
        .filter(|name| {
            let tree = Command::new(&cargo)
                .args([
                    "tree",
                    "--offline",
                    "--locked",
                    "--edges",
                    "normal,build",
                    "--prefix",
                    "none",
                    "--format",
                    "{p}",
                ])
                .args(["--package", name])
                .current_dir(root())
                .output()
                .unwrap();
            assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
            let tree = String::from_utf8(tree.stdout).unwrap();
            assert!(tree.starts_with(name.as_str()), "{tree}");
            tree.lines().any(|line| TENSORS.iter().any(|tensors| line.split(' ').next() == Some(tensors)))
        })
        .collect();
    let wanted = ["evaluate", "learn", "preprocess", "torch", "train", "tune"];
    assert_eq!(with, wanted.map(str::to_owned).into());
}

/// Module path below the crate's root, `["scenes", "draw"]`, of every source file that is no test.
fn modules(source: &Path) -> BTreeMap<Vec<String>, PathBuf> {
    let mut found = BTreeMap::new();
    let mut open = vec![source.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(source).unwrap().with_extension("");
            let mut names: Vec<String> =
                relative.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            if names.iter().any(|name| name == "tests" || name == "bin") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
                found.insert(names, path);
            }
        }
    }
    found
}

/// The paths that a text names after `start`, groups taken apart: `a::{b::C, d}` is `a::b::C` and `a::d`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let end = word(text);
    let (name, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix("::").filter(|_| end > 0) {
        let below = paths(rest).into_iter();
        return below.map(|below| [vec![name.to_owned()], below].concat()).collect();
    }
    let Some(group) = text.strip_prefix('{').filter(|_| end == 0) else { return vec![vec![name.to_owned()]] };
    let (mut depth, mut start, mut all) = (0, 0, vec![]);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                all.extend(paths(group[start..at].trim_start()));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    all
}

/// What the code of a file, tests aside, takes from other files of its crate.
fn taken(module: &[String], path: &Path, modules: &BTreeMap<Vec<String>, PathBuf>) -> BTreeSet<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let from_root = code.match_indices("crate::").map(|(at, start)| (vec![], &code[at + start.len()..]));
    let parent = module.split_last().map_or(&[][..], |(_, parent)| parent).to_vec();
    let from_parent =
        code.match_indices("super::").map(|(at, start)| (parent.clone(), &code[at + start.len()..]));
    let named = from_root
        .chain(from_parent)
        .flat_map(|(start, rest)| paths(rest).into_iter().map(move |path| [start.clone(), path].concat()));
    let file_of = |path: Vec<String>| {
        (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|path| modules.contains_key(path))
    };
    named.filter_map(file_of).collect()
}

#[test]
fn no_two_files_take_from_each_other() {
    let (mut checked, mut circles) = (0, BTreeSet::new());
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let modules = modules(&entry.unwrap().path().join("src"));
        // A module and its parts are one idea: what the parent declares, its children use.
        let related = |a: &[String], b: &[String]| a.starts_with(b) || b.starts_with(a);
        let arrows: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = modules
            .iter()
            .map(|(module, path)| {
                let taken = taken(module, path, &modules).into_iter();
                (module, taken.filter(|other| !related(module, other)).collect())
            })
            .collect();
        checked += arrows.values().map(BTreeSet::len).sum::<usize>();
        for start in arrows.keys() {
            let (mut seen, mut open) = (BTreeSet::new(), arrows[start].iter().collect::<Vec<_>>());
            while let Some(next) = open.pop() {
                if &next == start {
                    circles.insert(modules[*start].clone());
                }
                if seen.insert(next) {
                    open.extend(&arrows[next]);
                }
            }
        }
    }
    assert!(circles.is_empty(), "these files stand in circles: {circles:#?}");
    assert!(checked > 100, "only {checked} arrows were found");
}
