//! What is said of a request that is wrong: what to send instead, and nothing of what was sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::requests::{INFER, PREDICT};
use crate::server::{Server, photo};

#[test]
fn what_is_no_photo_is_said_in_a_sentence_and_never_repeated() {
    let server = Server::start(&[]);
    let long = STANDARD.encode((0..300_000u32).map(|n| ((n * 7919) >> 5) as u8).collect::<Vec<u8>>());
    let pixels: Vec<Vec<[u8; 3]>> = vec![vec![[90, 160, 230]; 32]; 24];
    let (good, bad) = (json!({ "b64": STANDARD.encode(photo(0)) }), json!({ "b64": "aGVsbG8gd29ybGQ=" }));
    let many = json!({ "instances": [good, bad] });
    let input = |kind: &str, data: Value| {
        let shape = [1, 24, 32, 3];
        json!({ "inputs": [{ "name": "image", "shape": shape, "datatype": kind, "data": data }] })
    };
    for (path, body, says) in [
        (PREDICT, json!({ "instances": [pixels] }), "as base64, not its pixels"),
        (PREDICT, json!({ "instances": [{ "image_bytes": pixels }] }), "as base64, not its pixels"),
        (PREDICT, json!({ "inputs": [pixels] }), "as base64, not its pixels"),
        (PREDICT, json!({ "inputs": { "image_bytes": pixels } }), "as base64, not its pixels"),
        (INFER, input("UINT8", json!([pixels])), "as base64, not its pixels"),
        (INFER, input("FP32", json!([0.5, 0.25])), "as base64, not its pixels"),
        (
            INFER,
            json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": "FP32", "data": [""] }] }),
            "as BYTES, in base64",
        ),
        (PREDICT, json!({ "instances": [long] }), "put its base64 into {\"b64\": \"…\"}"),
        (PREDICT, json!({ "instances": [{ "image_bytes": long }] }), "put its base64 into {\"b64\": \"…\"}"),
        (
            PREDICT,
            json!({ "instances": [{ "foo": 3 }] }),
            "no input \"foo\": there are image_bytes, beam_size",
        ),
        (PREDICT, json!({ "inputs": { "image_bytes": long } }), "put its base64 into {\"b64\": \"…\"}"),
        (PREDICT, json!({ "inputs": long }), "send {\"instances\": [{\"b64\": \"…\"}]}"),
        (PREDICT, json!({ "signature_name": long, "instances": [] }), "the only one is serving_default"),
        (PREDICT, json!({ "instances": [{ "b64": long, "beam_size": long }] }), "beam_size: found string"),
        (PREDICT, json!({ (long.as_str()): 1 }), "unknown field"),
        (INFER, json!({ "inputs": long }), "\"datatype\": \"BYTES\""),
        (INFER, json!({ "inputs": [{ "name": "image", "shape": long }] }), "found string"),
        (
            "/models/caption",
            json!({ "inputs": "", "parameters": { (long.as_str()): 1 } }),
            "more than 64 kB of text",
        ),
        (
            "/models/caption",
            json!({ "inputs": "", "parameters": { (&long[..10_000]): 1 } }),
            "there is no setting",
        ),
        ("/models/caption", json!({ (long.as_str()): 1 }), "unknown field"),
        ("/models/caption", json!({ "inputs": "https://example.org/dog.jpg" }), "the server fetches none"),
        ("/predictions/caption", json!({ "inputs": { (long.as_str()): 1 } }), "a photo as an object"),
    ] {
        let reason = server.post_json(path, &body).refused(400);
        assert!(reason.contains(says), "{path}: {reason}");
        assert!(!reason.contains(&long[..60]) && !reason.contains("struct "), "{reason}");
    }
    assert!(server.post_json(PREDICT, &many).refused(415).contains("at index 1: "));
    let many = json!({ "instances": [{ "b64": "" }, { "b64": "" }, { "b64": "a.b" }] });
    assert!(server.post_json(PREDICT, &many).refused(400).contains("at index 2: the photo is no base64"));
    for path in [format!("/samples/{long}"), format!("/models/{long}"), format!("/v1/models/{long}")] {
        // The head of a request has its own limit.
        server.get(&path[..8000]).refused(if path.starts_with("/models") { 405 } else { 404 });
    }
}
