//! What strangers send: it is refused by its kind, and nobody else notices.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use serve::proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use serve::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use tonic::Code;

use crate::grpc::{predict_request, run};
use crate::inference::raw;
use crate::server::{Server, photo};

/// A PNG that says it has more pixels than it has bytes.
pub(crate) fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(8, 8).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let mut bytes = bytes.into_inner();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = bytes[12..29].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    });
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

/// What is wrong, where it is sent, its type, its bytes, and the status that says so.
fn attacks() -> Vec<(&'static str, &'static str, &'static str, Vec<u8>, u16)> {
    let raw = "application/octet-stream";
    let json = "application/json";
    let form = "multipart/form-data; boundary=edge";
    let good = photo(1);
    let predict = "/v1/models/caption:predict";
    let infer = "/v2/models/caption/infer";
    let tensor = |shape: i64, kind: &str| {
        let tensor = json!({ "name": "image", "shape": [shape], "datatype": kind, "data": ["aGVsbG8="] });
        json!({ "inputs": [tensor] }).to_string().into_bytes()
    };
    vec![
        ("nothing", "/caption", raw, vec![], 400),
        ("text", "/caption", raw, b"hello".to_vec(), 415),
        ("a web page", "/caption", "text/html", b"<html>".to_vec(), 415),
        ("half a photo", "/caption", raw, good[..good.len() / 2].to_vec(), 422),
        ("a bomb", "/caption", raw, bomb(60_000, 60_000), 413),
        ("a long bomb", "/predict", raw, bomb(29_999, 3_000), 422),
        ("too many bytes", "/caption", raw, vec![0; (2 << 20) + 1], 413),
        ("no form", "/predict", form, b"nothing".to_vec(), 400),
        (
            "a form without a photo",
            "/predict",
            form,
            b"--edge\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n1\r\n--edge--\r\n".to_vec(),
            400,
        ),
        ("no JSON", predict, json, b"{".to_vec(), 400),
        ("deep JSON", predict, json, b"[".repeat(100_000), 400),
        (
            "a list of numbers",
            predict,
            json,
            format!("{{\"instances\": [{}1]}}", "1,".repeat(500_000)).into_bytes(),
            400,
        ),
        ("no instances", predict, json, b"{\"instances\": []}".to_vec(), 400),
        ("a row of text", predict, json, b"{\"instances\": [\"hello\"]}".to_vec(), 400),
        ("no base64", predict, json, b"{\"instances\": [{\"b64\": \"?\"}]}".to_vec(), 400),
        ("base64 of text", predict, json, b"{\"instances\": [{\"b64\": \"aGVsbG8=\"}]}".to_vec(), 415),
        (
            "too many photos",
            predict,
            json,
            format!("{{\"instances\": [{}{{\"b64\": \"\"}}]}}", "{\"b64\": \"\"},".repeat(300)).into_bytes(),
            413,
        ),
        (
            "another signature",
            predict,
            json,
            b"{\"signature_name\": \"x\", \"instances\": [{\"b64\": \"\"}]}".to_vec(),
            400,
        ),
        (
            "a text as a setting",
            predict,
            json,
            b"{\"instances\": [{\"b64\": \"\", \"beam_size\": \"3\"}]}".to_vec(),
            400,
        ),
        (
            "columns of two lengths",
            predict,
            json,
            b"{\"inputs\": {\"image_bytes\": {\"b64\": \"\"}, \"beam_size\": [1, 2]}}".to_vec(),
            400,
        ),
        ("another method", "/v1/models/caption:classify", json, b"{}".to_vec(), 404),
        ("another shape", infer, json, tensor(2, "BYTES"), 400),
        ("numbers as a photo", infer, json, tensor(1, "FP32"), 400),
        ("a huge beam", "/caption?beam_size=1000000", raw, good.clone(), 400),
        ("a negative length", "/caption?max_length=-1", raw, good, 400),
    ]
}

#[test]
fn every_attack_is_refused_by_its_kind() {
    let server = Server::start(&["--max-body-mb", "2"]);
    for (name, path, kind, body, status) in attacks() {
        let answer = server.post(path, kind, &body);
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(answer.json()["error"].as_str().unwrap().len() > 5, "{name}");
    }
    server.caption(&photo(0));
}

/// Photos that are none, and the status that says so.
fn photos() -> Vec<(&'static str, Vec<u8>, u16)> {
    let good = photo(1);
    vec![
        ("nothing", vec![], 400),
        ("text", b"hello".to_vec(), 415),
        ("half a photo", good[..good.len() / 2].to_vec(), 422),
        ("a bomb", bomb(60_000, 60_000), 413),
        ("a long bomb", bomb(29_999, 3_000), 422),
        ("too many bytes", vec![0; 3 << 20], 413),
    ]
}

/// An address, and its body around a photo's base64.
type Envelope = (&'static str, fn(&str) -> Value);

/// Where each protocol takes a photo.
fn envelopes() -> Vec<Envelope> {
    vec![
        ("/v1/models/caption:predict", |text| json!({ "instances": [{ "b64": text }] })),
        (
            "/v1/models/caption/versions/1:predict",
            |text| json!({ "inputs": { "image_bytes": { "b64": text } } }),
        ),
        (
            "/v2/models/caption/infer",
            |text| json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": "BYTES", "data": [text] }] }),
        ),
        ("/models/caption", |text| json!({ "inputs": text })),
        ("/", |text| json!({ "inputs": text })),
        ("/predictions/caption", |text| json!({ "data": text })),
        ("/predict", |text| json!({ "image": text })),
        ("/api/generate", |text| json!({ "model": "caption", "images": [text], "stream": false })),
        (
            "/api/chat",
            |text| json!({ "model": "caption", "messages": [{ "role": "user", "images": [text] }] }),
        ),
        ("/v1/chat/completions", |text| {
            let url = format!("data:image/png;base64,{text}");
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": url } }] }] })
        }),
        ("/v1/responses", |text| {
            let url = format!("data:image/png;base64,{text}");
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_image", "image_url": url }] }] })
        }),
    ]
}

#[test]
fn every_protocol_refuses_the_same_photos() {
    let server = Server::start(&["--max-body-mb", "2"]);
    for (name, photo, status) in photos() {
        let text = STANDARD.encode(&photo);
        for (path, envelope) in envelopes() {
            let answer = server.post_json(path, &envelope(&text));
            assert_eq!(answer.status, status, "{name}, {path}: {}", answer.body);
            assert!(answer.body.len() < 2000 && !answer.json()["error"].is_null(), "{name}, {path}");
        }
        run(async {
            let code = if status == 413 { Code::ResourceExhausted } else { Code::InvalidArgument };
            let mut tensorflow = PredictionServiceClient::connect(server.grpc.clone()).await.unwrap();
            let refused = tensorflow.predict(predict_request(&[&photo], &[])).await.unwrap_err();
            assert_eq!(refused.code(), code, "{name}: {refused}");
            let mut inference = GrpcInferenceServiceClient::connect(server.grpc.clone()).await.unwrap();
            let refused = inference.model_infer(raw(&[1], &[&photo])).await.unwrap_err();
            assert_eq!(refused.code(), code, "{name}: {refused}");
        });
    }
    // No protocol opens what an address or a path names.
    for (path, envelope) in envelopes() {
        for place in ["https://example.org/a.png", "file:///etc/passwd", "/etc/passwd"] {
            let mut body = envelope("").to_string();
            body = body.replace("data:image/png;base64,", "").replacen("\"\"", &format!("\"{place}\""), 1);
            let answer = server.post(path, "application/json", body.as_bytes());
            assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        }
    }
    server.caption(&photo(0));
}

#[test]
fn good_requests_are_answered_among_attacks() {
    let server = Server::start(&["--max-body-mb", "2", "--deadline-s", "60"]);
    let wanted: Vec<String> = (0..3).map(|number| server.caption(&photo(number))).collect();
    let attacks: Vec<_> = attacks().into_iter().filter(|attack| attack.3.len() < 1 << 20).collect();
    // Connections that say nothing, or half of something, for as long as the test lasts.
    let half = b"POST /caption HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n\x89PNG";
    let slow: Vec<TcpStream> =
        (0..20).map(|number| talk(&server, if number % 2 == 0 { half } else { b"" })).collect();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..4usize {
            let (server, wanted, attacks, answered) = (&server, &wanted, &attacks, &answered);
            scope.spawn(move || {
                for turn in 0..25 {
                    let (name, path, kind, body, status) = &attacks[(turn * 4 + client) % attacks.len()];
                    assert_eq!(server.post(path, kind, body).status, *status, "{name}");
                    // A client that leaves before its answer.
                    drop(talk(server, &request(&photo(0))));
                    let number = turn % 3;
                    assert_eq!(server.caption(&photo(number as u8)), wanted[number]);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(answered.into_inner(), 100);
    drop(slow);
    let until = Instant::now() + Duration::from_secs(60);
    while server.metric("serve_queued_photos") > 0.0 {
        assert!(Instant::now() < until, "photos are left in the queue");
    }
    assert_eq!(server.metric("serve_requests_total{route=\"/caption\",status=\"500\"}"), 0.0);
}

fn talk(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.http.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

fn request(photo: &[u8]) -> Vec<u8> {
    let head = format!("POST /caption HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", photo.len());
    [head.as_bytes(), photo].concat()
}

#[test]
fn a_slow_body_is_given_up() {
    let server = Server::start(&["--deadline-s", "1"]);
    let mut stream = talk(&server, b"POST /caption HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("took too long to arrive"), "{answer}");
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let server = Server::start(&["--queue", "1"]);
    let photo = photo(2);
    std::thread::scope(|scope| {
        let client =
            || (0..8).map(|_| server.post("/caption?beam_size=20", "image/png", &photo)).collect::<Vec<_>>();
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(client)).collect();
        let answers: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let (answered, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert!(!answered.is_empty() && !others.is_empty(), "{} {}", answered.len(), others.len());
        for answer in others {
            assert_eq!(
                (answer.status, answer.headers["retry-after"].as_bytes()),
                (503, &b"1"[..]),
                "{}",
                answer.body
            );
        }
    });
}
