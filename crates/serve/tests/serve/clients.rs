//! Clients of other servers, untouched, as they are installed: those of today, and those of two years ago.

use std::path::{Path, PathBuf};
use std::process::Command;

use pipeline_tests::Workspace;

use crate::server::{Server, photo};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/clients");

/// A folder that `scripts/get-test-tools.sh` names in a variable.
#[track_caller]
fn installed(variable: &str) -> Option<PathBuf> {
    needs::tool(&format!("the folder of {variable}"), std::env::var_os(variable).map(PathBuf::from))
}

/// What a program prints that ends well.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A server, a photo in a file, and its caption.
fn with_photo() -> (Server, String, String) {
    captioned(Server::start(&[]))
}

/// The same with the model in the box, whose captions end, and which names keywords.
fn with_starter(arguments: &[&str]) -> (Server, String, String) {
    let starter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/starter.safetensors");
    captioned(Server::start_at(Workspace::new(""), &[&["--model", starter], arguments].concat()))
}

fn captioned(server: Server) -> (Server, String, String) {
    let (path, caption) = (server.folder.path("photo.png"), server.caption(&photo(1)));
    std::fs::write(&path, photo(1)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (server, path, caption)
}

/// Runs a script in Python with today's packages, and once more with the old ones where there are some.
fn python(imports: &str, script: &str, old: bool, arguments: &[&str], wanted: &str) {
    let Some(python) = needs::python(imports) else { return };
    let mut folders = vec![None];
    if old {
        let Some(folder) = installed("OLD_CLIENTS") else { return };
        folders.push(Some(folder));
    }
    for folder in folders {
        let mut command = Command::new(&python);
        command.arg(Path::new(SCRIPTS).join(script)).args(arguments);
        if let Some(folder) = &folder {
            command.env("PYTHONPATH", folder);
        }
        assert_eq!(printed(&mut command), wanted, "{script} with {folder:?}");
    }
}

#[test]
fn tensorflow_serving() {
    let (server, photo, caption) = with_photo();
    let grpc = server.grpc.strip_prefix("http://").unwrap();
    let imports =
        "import grpc_health.v1.health_pb2, grpc_reflection.v1alpha, tensorflow_serving.apis.predict_pb2";
    python(imports, "use_tensorflow.py", true, &[&server.http, grpc, &photo], &caption);
}

#[test]
fn triton() {
    let (server, photo, caption) = with_photo();
    python("import tritonclient.http", "use_triton.py", true, &[&server.http, &photo], &caption);
}

#[test]
fn triton_over_grpc() {
    let (server, photo, caption) = with_photo();
    let grpc = server.grpc.strip_prefix("http://").unwrap();
    python("import tritonclient.grpc", "use_triton_grpc.py", true, &[grpc, &photo], &caption);
}

#[test]
fn stubs_of_open_inference() {
    let (server, photo, caption) = with_photo();
    let grpc = server.grpc.strip_prefix("http://").unwrap();
    python("import grpc_reflection.v1alpha", "use_inference.py", false, &[grpc, &photo], &caption);
}

#[test]
fn hugging_face_in_python() {
    let (server, photo, caption) = with_photo();
    python("import huggingface_hub", "use_hub.py", true, &[&server.http, &photo], &caption);
}

#[test]
fn hugging_face_in_javascript() {
    if !needs::program("node", &["-e", "fetch"]) {
        return;
    }
    let Some(clients) = installed("NODE_CLIENTS") else { return };
    let (server, photo, caption) = with_photo();
    for package in ["@huggingface/inference", "inference-old"] {
        let mut command = Command::new("node");
        command.arg(Path::new(SCRIPTS).join("use_hub.mjs")).arg(clients.join("node_modules").join(package));
        assert_eq!(printed(command.arg(&server.http).arg(&photo)), caption, "{package}");
    }
}

#[test]
fn openai() {
    let (server, photo, caption) = with_starter(&[]);
    python("import openai", "use_openai.py", true, &[&server.http, &photo], &caption);
}

#[test]
fn ollama() {
    let (server, photo, caption) = with_starter(&["--ollama", "0"]);
    let address = server.ollama.as_deref().unwrap();
    python("import ollama", "use_ollama.py", true, &[address, &photo], &caption);
}

#[test]
fn kserve_sees_that_the_model_is_ready() {
    let server = Server::start(&[]);
    python("import httpx", "use_kserve.py", false, &[&server.http], "True");
}

#[test]
fn curl_puts_a_file_and_speaks_http2() {
    if !needs::program("curl", &["--http2-prior-knowledge", "--version"]) {
        return;
    }
    let (server, photo, caption) = with_photo();
    let sent = ["-s", "--fail-with-body", "-T"].map(str::to_owned);
    let address = format!("{}/predictions/caption", server.http);
    for version in ["--http1.1", "--http2", "--http2-prior-knowledge"] {
        let answer = printed(Command::new("curl").args(&sent).arg(&photo).args([version, &address]));
        assert!(answer.contains(&caption), "{version}: {answer}");
    }
    let mut health = Command::new("curl");
    health.args(["-s", "--http2-prior-knowledge", "-w", "%{http_version}", "-o", "/dev/null"]);
    assert_eq!(printed(health.arg(format!("{}/healthz", server.http))), "2");
}
