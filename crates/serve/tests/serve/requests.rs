//! The other ways in which programs write what they send: packed, base64 in lines, forms with fields of their own.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::server::{Answer, Server, photo};

const PREDICT: &str = "/v1/models/caption:predict";
const INFER: &str = "/v2/models/caption/infer";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn tensor(text: &str) -> Value {
    json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": "BYTES", "data": [text] }] })
}

fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// The reason of a refusal, which is short whatever was sent.
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[test]
fn packed_bodies_are_unpacked_within_the_limits() {
    let server = Server::start(&["--max-body-mb", "1"]);
    let photo = photo(1);
    let caption = server.caption(&photo);
    let text = STANDARD.encode(&photo);
    let rows = json!({ "instances": [{ "b64": text }] }).to_string();
    let infer = tensor(&text).to_string();
    let two = [gzip(&rows.as_bytes()[..100]), gzip(&rows.as_bytes()[100..])].concat();
    let send = |path: &str, encoding: &str, body: &[u8]| {
        server.post_with(path, &[("content-type", "application/json"), ("content-encoding", encoding)], body)
    };
    for (encoding, body) in [
        ("gzip", gzip(rows.as_bytes())),
        ("x-gzip", gzip(rows.as_bytes())),
        ("GZIP", two),
        ("deflate", zlib(rows.as_bytes())),
        ("deflate", raw_deflate(rows.as_bytes())),
        ("identity", rows.clone().into_bytes()),
    ] {
        let answer = send(PREDICT, encoding, &body);
        assert_eq!(ok(&answer)["predictions"][0]["caption"], caption.as_str(), "{encoding}");
    }
    let answer = send(INFER, "gzip", &gzip(infer.as_bytes()));
    assert_eq!(ok(&answer)["outputs"][0]["data"][0], caption.as_str());
    let kind = [("content-type", "image/png"), ("content-encoding", "gzip")];
    assert_eq!(ok(&server.post_with("/predict", &kind, &gzip(&photo)))["caption"], caption.as_str());

    // Said of a request without a body.
    ok(&server.call("GET", "/v1/models/caption", &[("content-encoding", "gzip")], b""));
    for encoding in ["br", "zstd", "gzip, deflate", "compress"] {
        let answer = send(PREDICT, encoding, b"whatever");
        assert!(refused(&answer, 415).contains("send gzip, deflate, or"), "{encoding}");
        assert_eq!(answer.headers["accept-encoding"], "gzip, deflate");
    }
    let whole = gzip(rows.as_bytes());
    for (encoding, body) in [
        ("gzip", &whole[..whole.len() / 2]),
        ("gzip", &whole[..whole.len() - 4]),
        ("gzip", rows.as_bytes()),
        ("deflate", &zlib(rows.as_bytes())[..200]),
        ("deflate", &raw_deflate(rows.as_bytes())[..200]),
    ] {
        let reason = refused(&send(PREDICT, encoding, body), 400);
        assert!(reason.contains("cut short, or no "), "{encoding}: {reason}");
    }
    // A hundred megabytes in a hundred kilobytes.
    let bomb = gzip(&vec![b' '; 100 << 20]);
    assert!(refused(&send(PREDICT, "gzip", &bomb), 413).contains("larger than the 1 MB allowed"));
    let bomb = zlib(&vec![0; 100 << 20]);
    assert!(refused(&send("/predict", "deflate", &bomb), 413).contains("larger than the 1 MB allowed"));
}

#[test]
fn base64_is_read_in_any_spelling_on_every_route() {
    let server = Server::start(&[]);
    let photo = photo(2);
    let caption = server.caption(&photo);
    let text = STANDARD.encode(&photo);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    for text in [
        lines.join("\r\n"),
        format!(" {} ", text.trim_end_matches('=')),
        URL_SAFE_NO_PAD.encode(&photo),
        format!("data:image/png;base64,{text}"),
    ] {
        let b64 = json!({ "b64": text });
        for (path, body, at) in [
            (PREDICT, json!({ "instances": [b64] }), "/predictions/0/caption"),
            (PREDICT, json!({ "instances": [{ "image_bytes": b64 }] }), "/predictions/0/caption"),
            (PREDICT, json!({ "instances": [{ "data": text }] }), "/predictions/0/caption"),
            (PREDICT, json!({ "inputs": b64 }), "/outputs/caption/0"),
            (PREDICT, json!({ "inputs": { "image_bytes": [b64] } }), "/outputs/caption/0"),
            (INFER, tensor(&text), "/outputs/0/data/0"),
            ("/models/caption", json!({ "inputs": text }), "/0/generated_text"),
            ("/", json!({ "inputs": [text] }), "/0/0/generated_text"),
            ("/predictions/caption", json!({ "data": text }), "/caption"),
            ("/predictions/caption", json!({ "body": b64 }), "/caption"),
            ("/predictions/caption", json!({ "instances": [{ "data": text }] }), "/predictions/0/caption"),
            ("/predict", json!({ "image": text }), "/caption"),
        ] {
            let answer = server.post_json(path, &body);
            assert_eq!(ok(&answer).pointer(at), Some(&json!(caption)), "{path}: {}", answer.body);
        }
    }
    // JSON is told by itself where nobody says what it is, and so is the text of a canvas.
    let json = json!({ "inputs": text }).to_string();
    for kind in
        ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/json; charset=utf-8"]
    {
        assert_eq!(
            ok(&server.post("/", kind, json.as_bytes()))[0]["generated_text"],
            caption.as_str(),
            "{kind}"
        );
    }
    let address = format!("data:image/png;base64,{text}");
    assert_eq!(ok(&server.post("/predict", "text/plain", address.as_bytes()))["caption"], caption.as_str());
    for text in [address.as_str(), text.as_str()] {
        assert_eq!(ok(&server.post("/predict", "", text.as_bytes()))["caption"], caption.as_str());
        assert_eq!(ok(&server.post_form("/predict", "image", text.as_bytes()))["caption"], caption.as_str());
    }
}

#[test]
fn shapes_and_parameters_of_open_inference() {
    let server = Server::start(&[]);
    let photo = photo(0);
    let caption = server.caption(&photo);
    let text = STANDARD.encode(&photo);
    for (shape, data) in [
        (json!([1]), json!([text])),
        (json!([1, 1]), json!([[text]])),
        (json!([-1, 1]), json!([text])),
        (json!([-1]), json!([text, text])),
        (json!([2, 1]), json!([[text], [text]])),
    ] {
        let input = json!({ "name": "image", "shape": shape, "datatype": "BYTES", "data": data, "parameters": { "content_type": "base64" } });
        let parameters =
            json!({ "priority": 1, "timeout": 1000, "sequence_id": 0, "beam_size": 2, "content_type": "x" });
        let body = json!({ "inputs": [input], "parameters": parameters, "outputs": [{ "name": "caption" }] });
        let answer = ok(&server.post_json(INFER, &body));
        assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
        assert_eq!(answer["outputs"][0]["data"].as_array().unwrap().len(), data.as_array().unwrap().len());
    }
    // Base64 behind the JSON, said by its content type.
    let parameters = json!({ "binary_data_size": text.len() + 4, "content_type": "base64" });
    let input = json!({ "name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters });
    let head = json!({ "inputs": [input] }).to_string();
    let body = [head.as_bytes(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let length = [("inference-header-content-length", head.len().to_string())];
    let answer = server.post_with(INFER, &[(length[0].0, &length[0].1)], &body);
    assert_eq!(ok(&answer)["outputs"][0]["data"][0], caption.as_str());

    let mut unknown = tensor(&text);
    unknown["outputs"] = json!([{ "name": "logits" }]);
    let reason = refused(&server.post_json(INFER, &unknown), 400);
    assert!(reason.contains("no output \"logits\": there are caption, log_probability"), "{reason}");
    for shape in [json!([0, -1]), json!([-1, -1]), json!([-2])] {
        let input = json!({ "name": "image", "shape": shape, "datatype": "BYTES", "data": [text] });
        refused(&server.post_json(INFER, &json!({ "inputs": [input] })), 400);
    }
    let index = ok(&server.call("POST", "/v2/repository/index", &[], b"{}"));
    assert_eq!(index, json!([{ "name": "caption", "version": "1", "state": "READY", "reason": "" }]));
    assert_eq!(ok(&server.get("/v2/models/caption/config"))["input"][0]["data_type"], "TYPE_STRING");
    let counted = ok(&server.get("/v2/models/caption/versions/1/stats"));
    assert!(counted["model_stats"][0]["inference_count"].as_u64().unwrap() > 6, "{counted}");
}

#[test]
fn parameters_of_hugging_face_are_settings_or_passed_over() {
    let server = Server::start(&[]);
    let text = STANDARD.encode(photo(1));
    let words = |body: Value| {
        let answer = ok(&server.post_json("/models/caption", &body));
        answer[0]["generated_text"].as_str().unwrap().split(' ').count()
    };
    for parameters in [
        json!({ "max_new_tokens": 3 }),
        json!({ "max_length": 3 }),
        json!({ "generate_kwargs": { "max_new_tokens": 3, "do_sample": false } }),
        json!({ "generation_parameters": { "max_length": 3, "num_beams": 2, "temperature": 1.0 } }),
    ] {
        let body = json!({ "inputs": text, "parameters": parameters, "options": { "wait_for_model": true } });
        assert!(words(body) <= 3, "{parameters}");
    }
    words(json!({ "inputs": text, "parameters": null, "options": {} }));
    words(json!({ "inputs": text, "parameters": { "max_new_tokens": 5000 } }));
    let body = json!({ "inputs": text, "parameters": { "beams": 3 } });
    assert!(refused(&server.post_json("/models/caption", &body), 400).contains("there is no setting beams"));
    // Newer clients for JavaScript want the answer without a list around it.
    let body = json!({ "inputs": text }).to_string();
    let ask = |agent: &str| {
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        ok(&server.post_with("/models/caption", &headers, body.as_bytes()))
    };
    assert!(ask("@huggingface/inference/4.13.20 Node.js/22")["generated_text"].is_string());
    assert!(ask("@huggingface/inference/3.9.0")[0]["generated_text"].is_string());
}

#[test]
fn forms_bring_fields_of_others() {
    let server = Server::start(&[]);
    let photo = photo(2);
    let part = |head: &str, body: &[u8]| {
        [format!("--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n").as_bytes(), body, b"\r\n"]
            .concat()
    };
    let form = |parts: &[Vec<u8>]| {
        let body = [parts.concat(), b"--edge--\r\n".to_vec()].concat();
        server.post("/caption", "multipart/form-data; boundary=edge", &body)
    };
    let caption = server.caption(&photo);
    let file = part("name=\"file\"; filename=\"a.png\"", &photo);
    for parts in [
        vec![part("name=\"csrf_token\"", b"abc"), file.clone(), part("name=\"title\"", "h\u{e9}".as_bytes())],
        vec![file.clone(), part("name=\"image\"; filename=\"\"", b"")],
        vec![part("name=\"beam_size\"", b""), file.clone(), part("name=\"submit\"", b"Send")],
        vec![part("name=\"photo\"; filename=\"a.png\"", &photo)],
    ] {
        assert_eq!(ok(&form(&parts))["caption"], caption.as_str());
    }
    let shown =
        ok(&form(&[part("name=\"top_k\"", b"1"), part("name=\"attention\"", b"false"), file.clone()]));
    assert_eq!(shown["captions"].as_array().unwrap().len(), 1);
    assert!(refused(&form(&[part("name=\"file\"; filename=\"\"", b"")]), 400).contains("has no photo"));
    assert!(refused(&form(&[file.clone(), file.clone()]), 400).contains("several photos"));
    assert!(refused(&form(&[part("name=\"beam_size\"", b"many"), file]), 400).contains("beam_size"));
}

#[test]
fn addresses_and_methods_as_clients_write_them() {
    let server = Server::start(&[]);
    let photo = photo(1);
    let caption = server.caption(&photo);
    for (method, path) in [
        ("PUT", "/predictions/caption"),
        ("PUT", "/predictions/caption/1.0"),
        ("POST", "/predict/"),
        ("POST", "/predictions/caption/"),
        ("POST", "/caption/"),
    ] {
        let answer = server.call(method, path, &[("content-type", "image/png")], &photo);
        assert_eq!(ok(&answer)["caption"], caption.as_str(), "{method} {path}");
    }
    let rows = json!({ "instances": [{ "b64": STANDARD.encode(&photo) }] });
    for path in [
        "/v1/models/caption%3Apredict",
        "/v1/models/caption/labels/stable:predict",
        "/v1/models/caption:predict/",
    ] {
        assert_eq!(
            ok(&server.post_json(path, &rows))["predictions"][0]["caption"],
            caption.as_str(),
            "{path}"
        );
    }
    assert_eq!(ok(&server.get("/v1/models/caption/labels/stable")), ok(&server.get("/v1/models/caption")));
    assert!(refused(&server.get("/v1/models/caption/labels/canary"), 404).contains("\"stable\""));
    for path in ["/healthz", "/v1/models/caption", "/v2/health/ready", "/"] {
        assert_eq!(server.call("HEAD", path, &[], b"").status, 200, "{path}");
    }
    for verb in ["classify", "regress", "explain"] {
        let reason = refused(&server.post_json(&format!("/v1/models/caption:{verb}"), &rows), 404);
        assert!(reason.contains(verb) && reason.ends_with("post the photo to caption:predict"), "{reason}");
    }
    assert!(refused(&server.get("/v2/models/caption/versions/abc"), 404).contains("\"abc\" is no version"));
    let none = server.call("DELETE", "/v1/models/caption", &[], b"");
    refused(&none, 405);
    assert_eq!(none.headers["allow"], "GET,HEAD");
    assert_eq!(server.call("DELETE", PREDICT, &[], b"").headers["allow"], "POST");
}

#[test]
fn what_is_no_photo_is_said_in_a_sentence_and_never_repeated() {
    let server = Server::start(&[]);
    let long = STANDARD.encode((0..300_000u32).map(|n| ((n * 7919) >> 5) as u8).collect::<Vec<u8>>());
    let pixels: Vec<Vec<[u8; 3]>> = vec![vec![[90, 160, 230]; 32]; 24];
    let many = json!({ "instances": vec![json!({ "b64": STANDARD.encode(photo(0)) }), json!({ "b64": "aGVsbG8gd29ybGQ=" })] });
    let input = |kind: &str, data: Value| json!({ "inputs": [{ "name": "image", "shape": [1, 24, 32, 3], "datatype": kind, "data": data }] });
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
            "there is no setting",
        ),
        ("/models/caption", json!({ (long.as_str()): 1 }), "unknown field"),
        ("/models/caption", json!({ "inputs": "https://example.org/dog.jpg" }), "the server fetches none"),
        ("/predictions/caption", json!({ "inputs": { (long.as_str()): 1 } }), "a photo as an object"),
    ] {
        let reason = refused(&server.post_json(path, &body), 400);
        assert!(reason.contains(says), "{path}: {reason}");
        assert!(!reason.contains(&long[..60]) && !reason.contains("struct "), "{reason}");
    }
    assert!(refused(&server.post_json(PREDICT, &many), 415).contains("at index 1: "));
    let many = json!({ "instances": [{ "b64": "" }, { "b64": "" }, { "b64": "a.b" }] });
    assert!(refused(&server.post_json(PREDICT, &many), 400).contains("at index 2: the photo is no base64"));
    for path in [format!("/samples/{long}"), format!("/models/{long}"), format!("/v1/models/{long}")] {
        // The head of a request has its own limit.
        refused(&server.get(&path[..8000]), if path.starts_with("/models") { 405 } else { 404 });
    }
}

#[test]
fn pages_of_other_origins_may_call_where_they_are_named() {
    let preflight = |server: &Server, origin: &str| {
        let ask = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        server.call("OPTIONS", PREDICT, &ask, b"")
    };
    let closed = Server::start(&[]);
    assert!(!preflight(&closed, "http://localhost:3000").headers.contains_key("access-control-allow-origin"));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, b"\xef\xbb\xbfsecret\r\n").unwrap();
    let token = token.to_str().unwrap();
    let server = Server::start(&["--cors", "http://localhost:3000", "--token-file", token]);
    // The browser asks without the token.
    let answer = preflight(&server, "http://localhost:3000");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], "http://localhost:3000");
    assert_eq!(answer.headers["access-control-allow-headers"], "authorization,content-type");
    assert!(!preflight(&server, "http://elsewhere").headers.contains_key("access-control-allow-origin"));
    let call = [("origin", "http://localhost:3000"), ("authorization", "bearer secret")];
    let answer = server.call("POST", "/predict", &call, &photo(0));
    assert_eq!(
        (answer.status, &answer.headers["access-control-allow-origin"]),
        (200, &"http://localhost:3000".parse().unwrap())
    );
    let refused = server.call("POST", "/predict", &call[..1], &photo(0));
    assert_eq!(refused.status, 401, "{}", refused.body);
    assert!(refused.headers.contains_key("access-control-allow-origin"), "or the page sees no reason");
    let open = Server::start(&["--cors", "*"]);
    assert_eq!(preflight(&open, "http://anywhere").headers["access-control-allow-origin"], "*");
}
