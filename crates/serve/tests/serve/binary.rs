//! Triton's binary outputs: tensors behind the JSON of an answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::packed::{gzip, zlib};
use crate::requests::{INFER, tensor};
use crate::server::{Answer, Server, photo};

/// The JSON of an answer, and what is behind it.
fn split(answer: &Answer) -> (Value, &[u8]) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let length = answer.headers.get("inference-header-content-length");
    let length = length.map_or(answer.bytes.len(), |length| length.to_str().unwrap().parse().unwrap());
    let (json, behind) = answer.bytes.split_at(length);
    (serde_json::from_slice(json).unwrap(), behind)
}

fn framed(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn outputs_are_behind_the_json_for_who_asks() {
    let server = Server::start(&[]);
    let caption = server.caption(&photo(1));
    let ask = |parameters: Value, outputs: Value| {
        let mut body = tensor(&STANDARD.encode(photo(1)));
        body["parameters"] = parameters;
        body["outputs"] = outputs;
        body["id"] = "7".into();
        server.post_json(INFER, &body)
    };
    let plain = ask(json!({}), json!([]));
    assert_eq!(plain.headers["content-type"], "application/json");
    let (plain, behind) = split(&plain);
    assert!(behind.is_empty());
    let score = plain["outputs"][1]["data"][0].as_f64().unwrap();

    let all = ask(json!({ "binary_data_output": true }), json!([]));
    assert_eq!(all.headers["content-type"], "application/octet-stream");
    let (json, behind) = split(&all);
    assert_eq!(behind, [framed(&caption), score.to_le_bytes().to_vec()].concat());
    for (output, size) in [(0, 4 + caption.len()), (1, 8)] {
        let output = &json["outputs"][output];
        assert_eq!(
            (&output["parameters"]["binary_data_size"], &output["data"]),
            (&json!(size), &Value::Null)
        );
        assert_eq!(output["shape"], json!([1]));
    }
    assert_eq!((&json["id"], &json["model_version"]), (&json!("7"), &json!("1")));

    let wanted = |name: &str, binary: bool| json!({ "name": name, "parameters": { "binary_data": binary } });
    // An output's own word counts more than the request's.
    let both = json!([wanted("caption", false), wanted("log_probability", true)]);
    for default in [json!({}), json!({ "binary_data_output": true }), json!({ "binary_data_output": false })]
    {
        let mixed = ask(default, both.clone());
        let (json, behind) = split(&mixed);
        assert_eq!((&json["outputs"][0]["data"], behind), (&json!([caption]), &score.to_le_bytes()[..]));
    }
    let named = ask(json!({ "binary_data_output": true }), json!([{ "name": "caption" }]));
    let (json, behind) = split(&named);
    assert_eq!((json["outputs"].as_array().unwrap().len(), behind), (1, &framed(&caption)[..]));

    for (parameters, outputs, says) in [
        (json!({ "binary_data_output": "yes" }), json!([]), "binary_data_output is true or false"),
        (json!({}), json!([{ "name": "caption", "parameters": { "binary_data": 1 } }]), "expected a boolean"),
        (json!({}), json!([{ "name": "caption", "parameters": { "classification": 3 } }]), "no classes"),
        (
            json!({}),
            json!([{ "name": "caption", "parameters": { "shared_memory_region": "r", "shared_memory_byte_size": 9 } }]),
            "shares no memory",
        ),
    ] {
        let reason = ask(parameters, outputs).refused(400);
        assert!(reason.contains(says), "{reason}");
    }
    let parameters = json!({ "shared_memory_region": "r", "shared_memory_byte_size": 9 });
    let input = json!({ "name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters });
    let reason = server.post_json(INFER, &json!({ "inputs": [input] })).refused(400);
    assert!(reason.contains("shares no memory"), "{reason}");
}

#[test]
fn packed_requests_have_bytes_on_both_sides() {
    let server = Server::start(&[]);
    let photos = [photo(0), photo(2)];
    let captions: Vec<u8> = photos.iter().flat_map(|photo| framed(&server.caption(photo))).collect();
    let bytes: Vec<u8> =
        photos.iter().flat_map(|photo| [&(photo.len() as u32).to_le_bytes(), &photo[..]].concat()).collect();
    let parameters = json!({ "binary_data_size": bytes.len() });
    let input = json!({ "name": "image", "shape": [2, 1], "datatype": "BYTES", "parameters": parameters });
    let outputs = json!([{ "name": "caption", "parameters": { "binary_data": true } }]);
    let head = json!({ "inputs": [input], "outputs": outputs }).to_string();
    // Of the JSON before it is packed.
    let length = head.len().to_string();
    let body = [head.as_bytes(), &bytes].concat();
    for (packing, body) in [("identity", body.clone()), ("gzip", gzip(&body)), ("deflate", zlib(&body))] {
        let headers = [
            ("inference-header-content-length", &*length),
            ("content-encoding", packing),
            ("accept-encoding", "gzip"),
        ];
        let answer = server.post_with(INFER, &headers, &body);
        let (json, behind) = split(&answer);
        assert_eq!(behind, captions, "{packing}");
        assert_eq!(json["outputs"][0]["shape"], json!([2]));
    }
}
