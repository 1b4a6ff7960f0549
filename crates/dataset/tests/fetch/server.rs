//! A file server on loopback that misbehaves as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What becomes of one request; those that nobody planned are answered as they should be.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// That many bytes of the body that was announced, then the end of the connection.
    Cut(usize),
    /// That many bytes, then nothing until [`Server::release`].
    Hold(usize),
    /// The whole file, whatever range was asked for.
    NoRanges,
    /// The same, cut.
    NoRangesCut(usize),
    /// An error.
    Status(u16),
    /// Another content from now on.
    Change(Vec<u8>),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) file: String,
    /// Where the range begins that was asked for.
    pub(crate) from: Option<usize>,
    /// Bytes of the body that were sent.
    pub(crate) sent: usize,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    plan: VecDeque<Answer>,
    seen: Vec<Seen>,
    released: bool,
}

pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Server {
    pub(crate) fn of(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        let state = Arc::new((Mutex::new(State { files, ..State::default() }), Condvar::new()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, shared) = (connection.unwrap(), shared.clone());
                std::thread::spawn(move || answer(connection, &shared));
            }
        });
        Server { url, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    pub(crate) fn plan(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state().plan.extend(answers);
    }

    pub(crate) fn release(&self) {
        self.state().released = true;
        self.state.1.notify_all();
    }

    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.state().files.insert(name.to_owned(), bytes);
    }

    /// What came so far, with the bytes that were sent.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(crate) fn sent(&self) -> usize {
        self.seen().iter().map(|seen| seen.sent).sum()
    }
}

/// The place that `name:` has in the request's headers.
fn header<'a>(request: &'a [String], name: &str) -> Option<&'a str> {
    request.iter().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn answer(mut connection: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let lines = BufReader::new(connection.try_clone().unwrap()).lines();
    let request: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let Some(file) = request.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let file = file.trim_start_matches('/').to_owned();
    let range = header(&request, "range");
    let from = range.map(|range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap());
    let from = from.map(|from| from.parse::<usize>().unwrap());

    let (mut state, plan) = {
        let mut state = shared.0.lock().unwrap();
        let plan = state.plan.pop_front();
        if let Some(Answer::Change(bytes)) = &plan {
            state.files.insert(file.clone(), bytes.clone());
        }
        (state, plan)
    };
    let bytes = state.files.get(&file).cloned();
    let etag = format!("\"{}\"", bytes.iter().flatten().map(|&byte| u64::from(byte)).sum::<u64>());
    let same = header(&request, "if-range").is_none_or(|wanted| wanted == etag);
    let ranges = !matches!(plan, Some(Answer::NoRanges | Answer::NoRangesCut(_))) && same;
    let start = from.filter(|_| ranges);
    let (head, body) = match (&plan, &bytes) {
        (Some(Answer::Status(status)), _) => {
            (format!("{status} Trouble\r\nContent-Length: 5\r\n"), &b"sorry"[..])
        }
        (_, None) => ("404 Not Found\r\nContent-Length: 5\r\n".to_owned(), &b"sorry"[..]),
        (_, Some(bytes)) => match start {
            Some(start) if start >= bytes.len() => (
                format!("416 No\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\n", bytes.len()),
                &b""[..],
            ),
            Some(start) => {
                let (last, length) = (bytes.len() - 1, bytes.len());
                let rest = &bytes[start..];
                let head = format!(
                    "206 Partial\r\nContent-Range: bytes {start}-{last}/{length}\r\nContent-Length: {}\r\nETag: {etag}\r\n",
                    rest.len()
                );
                (head, rest)
            }
            None => (format!("200 OK\r\nContent-Length: {}\r\nETag: {etag}\r\n", bytes.len()), &bytes[..]),
        },
    };
    let length = match plan {
        Some(Answer::Cut(length) | Answer::NoRangesCut(length) | Answer::Hold(length)) => {
            length.min(body.len())
        }
        _ => body.len(),
    };
    let index = state.seen.len();
    state.seen.push(Seen { file, from, sent: length });
    drop(state);
    let head = format!("HTTP/1.1 {head}Connection: close\r\n\r\n");
    // Whoever is gone reads nothing: a killed program, or one that has seen enough.
    let gone =
        connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&body[..length])).is_err();
    if matches!(plan, Some(Answer::Hold(_))) && !gone {
        let state = shared.0.lock().unwrap();
        let _held = shared.1.wait_while(state, |state| !state.released).unwrap();
    }
    if gone {
        shared.0.lock().unwrap().seen[index].sent = 0;
    }
    // What the client still says is read, so that the end of the connection does not overtake the bytes.
    let _ = connection.shutdown(std::net::Shutdown::Write);
    let _ = connection.read_to_end(&mut Vec::new());
}
