//! Files that run the server elsewhere name options, ports and probes that there are.

use std::path::PathBuf;
use std::process::Command;

use crate::server::Server;

const DOCKERFILE: &str = include_str!("../../../../Dockerfile");
const IGNORED: &str = include_str!("../../../../.dockerignore");
const COMPOSE: &str = include_str!("../../../../examples/deploy/compose.yaml");
const SYSTEMD: &str = include_str!("../../../../examples/deploy/captions.service");
const KUBERNETES: &str = include_str!("../../../../examples/deploy/kubernetes.yaml");
const IMMICH: &str = include_str!("../../../../docs/programs/immich.md");

/// The list in brackets behind each `key` of a text.
fn lists(text: &str, key: &str) -> Vec<Vec<String>> {
    let found = text.lines().filter_map(|line| line.trim_start().strip_prefix(key));
    found.map(|list| serde_json::from_str(list.trim()).unwrap_or_else(|_| panic!("{key} {list}"))).collect()
}

#[test]
fn every_command_line_is_understood() {
    let mut lines = lists(DOCKERFILE, "CMD");
    lines.extend([(COMPOSE, "command:"), (KUBERNETES, "args:"), (IMMICH, "command:")].iter().flat_map(
        |(text, key)| {
            let found = lists(text, key);
            assert_eq!(found.len(), 1, "{key}");
            found
        },
    ));
    let unit = SYSTEMD.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/serve ")).unwrap();
    lines.push(unit.split(' ').map(str::to_owned).collect());
    for line in lines {
        // The help is printed only where all before it is known.
        let output = Command::new(env!("CARGO_BIN_EXE_serve")).args(&line).arg("--help").output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_image_is_made_of_files_that_are_there() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(
        root.join("scripts/get-onnxruntime.sh").is_file()
            && DOCKERFILE.contains("scripts/get-onnxruntime.sh")
    );
    assert!(
        DOCKERFILE.contains("models/starter.safetensors")
            && root.join("models/starter.safetensors").is_file()
    );
    // The compiler of the image is that of the workspace.
    let workspace = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let version = workspace.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(DOCKERFILE.contains(&format!("FROM rust:{}-", version.trim_matches('"'))), "{version}");
    // What is built or loaded inside is not sent in.
    for folder in ["target", ".onnxruntime", ".libtorch", ".test-tools", "data"] {
        assert!(IGNORED.lines().any(|line| line == folder), "{folder}");
    }
}

#[test]
fn probes_and_ports_are_those_of_the_server() {
    let server = Server::start(&[]);
    let probes = KUBERNETES.lines().filter_map(|line| line.split_once("path: /"));
    let probes: Vec<&str> = probes.map(|(_, path)| path.split([',', '}']).next().unwrap().trim()).collect();
    assert_eq!(probes, ["metrics", "readyz", "readyz", "livez"]);
    for probe in probes {
        assert_eq!(server.get(&format!("/{probe}")).status, 200, "{probe}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_serve")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for port in ["8500", "8501"] {
        assert!(help.contains(&format!("[default: {port}]")), "{port}");
    }
    for port in ["8500", "8501", "11434"] {
        assert!(
            DOCKERFILE.contains(port) && KUBERNETES.contains(&format!("containerPort: {port}")),
            "{port}"
        );
    }
}
