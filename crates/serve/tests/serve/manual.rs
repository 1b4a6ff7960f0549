//! The commands of the pages work as they are written.

use std::process::Command;

use crate::server::{Server, photo};

const SERVE: &str = include_str!("../../../../docs/serve.md");
const CLIENTS: &str = include_str!("../../../../docs/clients.md");
const PROXY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/flask_proxy.py");

/// The blocks of a page in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// What a program prints beside a server on the pages' address, in the folder of `photo.jpg`.
fn printed(server: &Server, program: &str, arguments: &[&str], text: &str) -> String {
    let text = text.replace("http://127.0.0.1:8501", &server.http);
    let mut command = Command::new(program);
    command.args(arguments).arg(&text).current_dir(server.folder.path(""));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
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
        let commands = [SERVE, CLIENTS].into_iter().flat_map(|page| blocks(page, "console"));
        let commands: Vec<&str> =
            commands.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).collect();
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
