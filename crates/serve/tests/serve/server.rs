//! A running server with a small model of random weights, and photos that it captions differently.

use std::io::{BufRead, BufReader, Cursor};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use image::{ImageFormat, Rgb, RgbImage};
use pipeline_tests::Workspace;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// A server that ends with its test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) ollama: Option<String>,
    pub(crate) folder: Workspace,
    /// Lines of the log after that which says where it listens.
    pub(crate) log: Mutex<Receiver<String>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer: status, headers, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: String,
    /// The same where it is no text.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

impl Answer {
    /// What it says, of a request that is right.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// Why a request is refused: short, whatever was sent.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.body.len() < 2000, "{} bytes", self.body.len());
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

impl Server {
    /// With a model file of one version.
    pub(crate) fn start(arguments: &[&str]) -> Server {
        let folder = Workspace::new("").with_weights("resnet18");
        folder.random_model("model.safetensors", 1);
        Server::start_in(folder, "model.safetensors", arguments)
    }

    /// With what lies in a folder.
    pub(crate) fn start_in(folder: Workspace, model: &str, arguments: &[&str]) -> Server {
        let model = folder.path(model);
        Server::start_at(folder, &[&["--model", model.to_str().unwrap()], arguments].concat())
    }

    /// With a folder as its working directory, and the model that is found there unless one is named.
    pub(crate) fn start_at(folder: Workspace, arguments: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_serve"))
            .args(["--port", "0", "--grpc-port", "0", "--poll-s", "1", "--weights"])
            .arg(folder.path("weights"))
            .args(arguments)
            .current_dir(folder.path(""))
            .env("RAYON_NUM_THREADS", "2")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (mut before, mut found) = (String::new(), None);
        for line in lines.by_ref() {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "listening" {
                found = Some(event);
                break;
            }
            before += &line;
        }
        let event = found.unwrap_or_else(|| panic!("it did not start: {before}"));
        let (sender, log) = channel();
        std::thread::spawn(move || lines.for_each(|line| drop(sender.send(line))));
        let address = |kind: &str| Some(format!("http://{}", event[kind].as_str()?));
        let (http, grpc) = (address("http").unwrap(), address("grpc").unwrap());
        Server { child, http, grpc, ollama: address("ollama"), folder, log: Mutex::new(log) }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        answer(agent().get(format!("{}{path}", self.http)).call())
    }

    pub(crate) fn post(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.post_with(path, &[("content-type", kind)], body)
    }

    pub(crate) fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let request = agent().post(format!("{}{path}", self.http));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(request.send(body))
    }

    /// Any method, with headers.
    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.http));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let agent = agent();
        answer(match body.is_empty() {
            true => agent.run(request.body(()).unwrap()),
            false => agent.run(request.body(body.to_vec()).unwrap()),
        })
    }

    pub(crate) fn post_json(&self, path: &str, json: &Value) -> Answer {
        self.post(path, "application/json", json.to_string().as_bytes())
    }

    /// A form with one file.
    pub(crate) fn post_form(&self, path: &str, field: &str, file: &[u8]) -> Answer {
        let head =
            format!("--edge\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"a.png\"\r\n\r\n");
        let body = [head.as_bytes(), file, b"\r\n--edge--\r\n"].concat();
        self.post(path, "multipart/form-data; boundary=edge", &body)
    }

    /// The caption of a photo, by the plainest way.
    pub(crate) fn caption(&self, photo: &[u8]) -> String {
        let answer = self.post("/caption", "image/png", photo);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["caption"].as_str().unwrap().to_owned()
    }

    /// Waits for a line of the log.
    pub(crate) fn wait_for(&self, message: &str) {
        let log = self.log.lock().unwrap();
        while !log.recv_timeout(PATIENCE).unwrap().contains(message) {}
    }

    /// A line of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(PATIENCE)).build().into()
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = result.unwrap();
    let bytes = response.body_mut().read_to_vec().unwrap();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body, bytes }
}

/// Photos of this many kinds are captioned differently (a test says so).
pub(crate) fn photo(number: u8) -> Vec<u8> {
    let pixel = |x: u32, y: u32| match number {
        0 => Rgb([200, 30, 40]),
        1 => Rgb([if (x / 8).is_multiple_of(2) { 255 } else { 0 }, (y % 256) as u8, 90]),
        _ => Rgb([(x * 7 % 256) as u8, (y * 3 % 256) as u8, ((x ^ y) % 256) as u8]),
    };
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_fn(300, 260, pixel).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}
