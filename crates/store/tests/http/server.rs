//! A server of files over HTTP that does what a test wants.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With what is behind the `?`.
    pub(crate) path: String,
    /// Names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What it gets.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body that are sent before the connection is cut.
    pub(crate) cut: Option<usize>,
    /// Whether no header says how long the body is.
    pub(crate) unmeasured: bool,
}

impl Answer {
    pub(crate) fn of(status: u16, body: &[u8]) -> Answer {
        Answer { status, headers: Vec::new(), body: body.to_vec(), cut: None, unmeasured: false }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

/// The file as servers give it: as a whole or the range that is asked for.
pub(crate) fn file(request: &Request, bytes: &[u8]) -> Answer {
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range else { return Answer::of(200, bytes).with("accept-ranges", "bytes") };
    let first: usize = first.parse().unwrap();
    let end = last.parse::<usize>().map_or(bytes.len(), |last| (last + 1).min(bytes.len()));
    if first >= bytes.len() {
        return Answer::of(416, b"").with("content-range", format!("bytes */{}", bytes.len()));
    }
    Answer::of(206, &bytes[first..end])
        .with("content-range", format!("bytes {first}-{}/{}", end - 1, bytes.len()))
}

type Answers = dyn FnMut(&Request) -> Answer + Send;

/// It answers until the test ends.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn new(answers: impl FnMut(&Request) -> Answer + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<Box<Answers>>> = Arc::new(Mutex::new(Box::new(answers)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, log) = (answers.clone(), log.clone());
                std::thread::spawn(move || serve(stream.ok()?, &answers, &log));
            }
        });
        Server { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, answers: &Mutex<Box<Answers>>, log: &Mutex<Vec<Request>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let request = Request { method, path, headers };
        log.lock().unwrap().push(request.clone());
        let answer = (answers.lock().unwrap())(&request);
        let mut head = format!("HTTP/1.1 {} Of a test\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let close = answer.unmeasured || answer.cut.is_some();
        head += &match answer.unmeasured {
            true => "connection: close\r\n\r\n".to_owned(),
            false => format!("content-length: {}\r\n\r\n", answer.body.len()),
        };
        stream.write_all(head.as_bytes()).ok()?;
        if request.method != "HEAD" {
            let length = answer.cut.unwrap_or(answer.body.len());
            stream.write_all(&answer.body[..length]).ok()?;
        }
        stream.flush().ok()?;
        if close {
            stream.shutdown(std::net::Shutdown::Both).ok()?;
            return None;
        }
    }
}
