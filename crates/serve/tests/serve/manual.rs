//! The commands of the pages work as they are written.

use std::ffi::OsStr;
use std::process::Command;

use serde_json::Value;

use crate::server::{Server, photo};

const SERVE: &str = include_str!("../../../../docs/serve.md");
const CLIENTS: &str = include_str!("../../../../docs/clients.md");
const PROGRAMS: [&str; 5] = [
    include_str!("../../../../docs/programs/photoprism.md"),
    include_str!("../../../../docs/programs/home-assistant.md"),
    include_str!("../../../../docs/programs/nextcloud.md"),
    include_str!("../../../../docs/programs/lightroom.md"),
    include_str!("../../../../docs/programs/immich.md"),
];
const PROXY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/flask_proxy.py");

/// The blocks of a page in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// What a program prints beside a server on the pages' addresses, in the folder of `photo.jpg`.
fn printed(server: &Server, program: impl AsRef<OsStr>, arguments: &[&str], text: &str) -> String {
    let text =
        text.replace("http://127.0.0.1:8501", &server.http).replace("http://127.0.0.1:11434", &server.http);
    let text = text.replace("127.0.0.1:8500", server.grpc.strip_prefix("http://").unwrap());
    let mut command = Command::new(program);
    command.args(arguments).arg(&text).current_dir(server.folder.path(""));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands of some pages.
fn commands<'a>(pages: &[&'a str]) -> Vec<&'a str> {
    let blocks = pages.iter().flat_map(|page| blocks(page, "console"));
    blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// What an answer of Ollama or OpenAI says, in one piece or in lines.
fn said(answer: &str) -> String {
    let places = ["/response", "/message/content", "/choices/0/message/content"];
    let parts = answer.lines().map(|line| -> Value { serde_json::from_str(line).unwrap() });
    let text = |part: Value| places.iter().find_map(|place| Some(part.pointer(place)?.as_str()?.to_owned()));
    parts.filter_map(text).collect()
}

#[test]
fn programs_get_the_caption_by_the_requests_of_their_pages() {
    if !needs::program("curl", &["--version"]) {
        return;
    }
    let (server, caption) = with_photo();
    for page in PROGRAMS {
        let commands = commands(&[page]);
        assert!(!commands.is_empty());
        for command in commands {
            let answer = printed(&server, "bash", &["-c"], command);
            match command.contains("photo.jpg") {
                true => assert!(said(&answer).contains(&caption), "{command}: {answer}"),
                false => assert!(answer.contains("\"id\":\"caption\""), "{command}: {answer}"),
            }
        }
    }
}

fn with_photo() -> (Server, String) {
    let server = Server::start(&[]);
    std::fs::write(server.folder.path("photo.jpg"), photo(1)).unwrap();
    let caption = server.caption(&photo(1));
    (server, caption)
}

#[test]
fn curl_python_and_javascript_get_the_caption() {
    let (server, caption) = with_photo();
    if needs::program("curl", &["--version"]) {
        let commands = commands(&[SERVE, CLIENTS]);
        assert!(commands.len() >= 6);
        for command in commands {
            let answer = printed(&server, "bash", &["-c"], command);
            // Five beams may find another caption than three.
            assert!(answer.contains(&caption) || command.contains("beam_size"), "{command}: {answer}");
            assert!(answer.contains("caption") || answer.contains("generated_text"), "{command}: {answer}");
        }
    }
    if needs::program("python3", &["--version"]) {
        let answer = printed(&server, "python3", &["-c"], blocks(CLIENTS, "python")[0]);
        assert_eq!(answer.lines().next().unwrap(), caption);
        assert_eq!(answer.lines().count(), 1 + caption.split(' ').count());
    }
    let of_clients = ["import tritonclient.grpc", "import openai", "import ollama"];
    for (imports, script) in of_clients.into_iter().zip(&blocks(CLIENTS, "python")[1..]) {
        if let Some(python) = needs::python(imports) {
            assert_eq!(printed(&server, &python, &["-c"], script).trim(), caption, "{imports}");
        }
    }
    if needs::program("node", &["-e", "fetch"]) {
        let script = blocks(CLIENTS, "javascript")[0];
        let answer = printed(&server, "node", &["--input-type=module", "-e"], script);
        assert_eq!(answer.trim(), caption);
    }
}

#[test]
fn the_flask_app_hands_on_answers_and_errors() {
    let Some(python) = needs::python("import flask, requests") else { return };
    let (server, caption) = with_photo();
    let script = r#"
import importlib.util, io, sys
spec = importlib.util.spec_from_file_location("flask_proxy", sys.argv[1])
proxy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(proxy)
client = proxy.app.test_client()
send = lambda data: client.post("/describe", data={"file": (io.BytesIO(data), "photo.jpg")})
print(send(open(sys.argv[2], "rb").read()).json["caption"])
print(send(b"no photo").status_code, client.post("/describe").status_code)
"#;
    let output = Command::new(python)
        .args(["-c", script, PROXY])
        .arg(server.folder.path("photo.jpg"))
        .env("CAPTIONS", &server.http)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let wanted = format!("{caption}\n415 400\n");
    assert_eq!(printed, wanted, "{}", String::from_utf8_lossy(&output.stderr));
}
