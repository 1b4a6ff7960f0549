//! What the server holds at a time, for whom, and what it refuses to hold.

use std::io::{Cursor, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output};

use futures_util::future::select_all;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use hyper::body::Bytes;
use hyper::http::{HeaderMap, Request};
use image::{ImageFormat, RgbImage};
use serve::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;

use crate::grpc::{predict_request, run};
use crate::hostile::bomb;
use crate::server::{Server, photo};

const UNAUTHENTICATED: &str = "16";
const RESOURCE_EXHAUSTED: &str = "8";
const UNAVAILABLE: &str = "14";

/// What the server's process holds, in megabytes.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

pub(crate) async fn connect(server: &Server) -> SendRequest<Bytes> {
    let address = server.grpc.strip_prefix("http://").unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (calls, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    calls
}

/// Begins a call with a message that is announced as `bytes` long.
fn begin(calls: &mut SendRequest<Bytes>, server: &Server, bytes: u32) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::post(format!("{}/tensorflow.serving.PredictionService/Predict", server.grpc))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut message) = calls.send_request(request, false).unwrap();
    let prefix = [&[0][..], &bytes.to_be_bytes()].concat();
    message.send_data(prefix.into(), false).unwrap();
    (answer, message)
}

/// Sends as much as the server takes: how much that was.
async fn send(message: &mut SendStream<Bytes>, bytes: usize) -> usize {
    let mut sent = 0;
    while sent < bytes {
        message.reserve_capacity(bytes - sent);
        let Some(Ok(window)) = std::future::poll_fn(|context| message.poll_capacity(context)).await else {
            break;
        };
        if message.send_data(vec![7; window].into(), false).is_err() {
            break;
        }
        sent += window;
    }
    sent
}

/// The status of a call, and the text beside it.
async fn status(answer: ResponseFuture) -> (String, String) {
    let answer = answer.await.unwrap();
    let text = |map: &HeaderMap, name: &str| map.get(name).map(|text| text.to_str().unwrap().to_owned());
    let mut headers = answer.headers().clone();
    if !headers.contains_key("grpc-status") {
        let mut body: RecvStream = answer.into_body();
        while body.data().await.is_some() {}
        headers = body.trailers().await.unwrap().unwrap();
    }
    (text(&headers, "grpc-status").unwrap(), text(&headers, "grpc-message").unwrap_or_default())
}

#[test]
fn without_the_token_no_message_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let server = Server::start(&["--token-file", token.to_str().unwrap()]);
    let before = resident(&server);
    run(async {
        let mut held = Vec::new();
        for _ in 0..40 {
            let mut calls = connect(&server).await;
            let (answer, mut message) = begin(&mut calls, &server, 20 << 20);
            send(&mut message, 18 << 20).await;
            let (status, text) = status(answer).await;
            assert_eq!(status, UNAUTHENTICATED, "{text}");
            held.push((calls, message));
        }
        let after = resident(&server);
        assert!(after < before + 60, "{before} MB before, {after} MB with {} half-sent calls", held.len());
    });
    assert_eq!(server.metric("serve_requests_total{route=\"PredictionService.Predict\",status=\"Una"), 40.0);
}

#[test]
fn messages_that_arrive_hold_no_more_than_their_share() {
    // A quarter of it is for bodies, each counted twice: 32 MB.
    let server = Server::start(&["--memory", "256M", "--deadline-s", "600"]);
    run(async {
        let mut calls = connect(&server).await;
        let (mut answers, mut messages) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let (answer, mut message) = begin(&mut calls, &server, 20 << 20);
            send(&mut message, 10 << 20).await;
            answers.push(Box::pin(status(answer)));
            messages.push(message);
        }
        // The last one finds no room, or the first has been too slow and gives way to it.
        let ((status, text), _, others) = select_all(answers).await;
        assert_eq!(status, UNAVAILABLE, "{text}");
        drop((others, messages, calls));
        let mut client = PredictionServiceClient::connect(server.grpc.clone()).await.unwrap();
        let request = || predict_request(&[&photo(0)], &[]);
        // They let go when the server has seen that they are gone.
        while let Err(busy) = client.predict(request()).await {
            assert_eq!(busy.code(), tonic::Code::Unavailable);
        }
    });
}

#[test]
fn a_message_over_the_limit_is_refused_as_grpc_refuses() {
    let server = Server::start(&["--max-body-mb", "1"]);
    run(async {
        let mut calls = connect(&server).await;
        let (answer, mut message) = begin(&mut calls, &server, 3 << 20);
        send(&mut message, 3 << 20).await;
        let (status, text) = status(answer).await;
        assert_eq!(status, RESOURCE_EXHAUSTED, "{text}");
        assert!(text.contains("larger%20than%20the%201%20MB"), "{text}");
        // Two bytes each, which become a dozen times as much when they are unpacked.
        let mut client = PredictionServiceClient::connect(server.grpc.clone()).await.unwrap();
        let empty = vec![&b""[..]; 50_000];
        let refused = client.predict(predict_request(&empty, &[])).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(refused.message().contains("64 kB beside its photos"), "{}", refused.message());
    });
}

#[test]
fn large_photos_are_answered_beside_small_ones_or_refused_by_their_header() {
    let server = Server::start(&["--memory", "160M"]);
    let small = server.caption(&photo(0));
    let mut large = Cursor::new(Vec::new());
    // 27 MB on its way, where 20 MB are for small ones.
    RgbImage::new(2500, 2500).write_to(&mut large, ImageFormat::Png).unwrap();
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| server.caption(large.get_ref()))).collect();
        for _ in 0..10 {
            assert_eq!(server.caption(&photo(0)), small);
        }
        let captions: Vec<String> = others.into_iter().map(|other| other.join().unwrap()).collect();
        assert!(captions.windows(2).all(|two| two[0] == two[1]), "{captions:?}");
    });
    let refused = server.post("/caption", "image/png", &bomb(10_000, 10_000));
    assert_eq!(refused.status, 413);
    assert!(refused.body.contains("of memory to decode, and the server has 80 MB"), "{}", refused.body);
}

fn talk(server: &Server) -> TcpStream {
    TcpStream::connect(server.http.strip_prefix("http://").unwrap()).unwrap()
}

#[test]
fn heads_are_limited_and_a_half_closed_client_gets_its_answer() {
    let server = Server::start(&[]);
    let answer = |head: &str, body: &[u8]| {
        let mut stream = talk(&server);
        // It may be refused, and the connection be closed, before all of it is sent.
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        let _ = sent.and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "y".repeat(20 << 10));
    let refused = answer(&long, b"");
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    let photo = photo(1);
    let head = format!("POST /caption HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", photo.len());
    let captioned = answer(&head, &photo);
    assert!(
        captioned.starts_with("HTTP/1.1 200") && captioned.contains(&server.caption(&photo)),
        "{captioned}"
    );
}

/// A server that does not start: its exit code, and what it says.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_serve")).args(arguments).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_start_says_why_on_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, wanted) in [
        // Before the model is looked for.
        (&["--port", &port, "--model", "nope"][..], "error: cannot listen on 127.0.0.1:"),
        (&["--port", "0", "--grpc-port", "0", "--model", "nope"], "error: cannot read nope: No such file"),
        (
            &["--port", "0", "--grpc-port", "0", "--model", "no\u{1b}[31mpe"],
            "error: cannot read no\\u{1b}[31mpe: No",
        ),
    ] {
        let (code, said) = refused(arguments);
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.starts_with(wanted), "{said}");
    }
}
