//! The other ways in which programs write what they send: base64 in lines, parameters, forms with fields of their own.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::server::{Server, photo};

pub(crate) const PREDICT: &str = "/v1/models/caption:predict";
pub(crate) const INFER: &str = "/v2/models/caption/infer";

pub(crate) fn tensor(text: &str) -> Value {
    json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": "BYTES", "data": [text] }] })
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
            assert_eq!(answer.ok().pointer(at), Some(&json!(caption)), "{path}: {}", answer.body);
        }
    }
    // JSON is told by itself where nobody says what it is, and so is the text of a canvas.
    let json = json!({ "inputs": text }).to_string();
    for kind in
        ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/json; charset=utf-8"]
    {
        assert_eq!(
            server.post("/", kind, json.as_bytes()).ok()[0]["generated_text"],
            caption.as_str(),
            "{kind}"
        );
    }
    let fields = [("csrf_token", "a b"), ("image", &text), ("beam_size", "3")];
    let escaped = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    for fields in [escaped, format!("image={text}&title=a+dog")] {
        let answer = server.post("/caption", "application/x-www-form-urlencoded", fields.as_bytes());
        assert_eq!(answer.ok()["caption"], caption.as_str());
    }
    let keyed = json!({ "instances": [{ "image_bytes": { "b64": text }, "key": "1" }] });
    assert_eq!(server.post_json(PREDICT, &keyed).ok()["predictions"][0]["key"], "1");
    let address = format!("data:image/png;base64,{text}");
    assert_eq!(server.post("/predict", "text/plain", address.as_bytes()).ok()["caption"], caption.as_str());
    for text in [address.as_str(), text.as_str()] {
        assert_eq!(server.post("/predict", "", text.as_bytes()).ok()["caption"], caption.as_str());
        assert_eq!(server.post_form("/predict", "image", text.as_bytes()).ok()["caption"], caption.as_str());
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
        let kind = json!({ "content_type": "base64" });
        let input =
            json!({ "name": "image", "shape": shape, "datatype": "BYTES", "data": data, "parameters": kind });
        let parameters =
            json!({ "priority": 1, "timeout": 1000, "sequence_id": 0, "beam_size": 2, "content_type": "x" });
        let body = json!({ "inputs": [input], "parameters": parameters, "outputs": [{ "name": "caption" }] });
        let answer = server.post_json(INFER, &body).ok();
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
    assert_eq!(answer.ok()["outputs"][0]["data"][0], caption.as_str());

    let mut unknown = tensor(&text);
    unknown["outputs"] = json!([{ "name": "logits" }]);
    let reason = server.post_json(INFER, &unknown).refused(400);
    assert!(reason.contains("no output \"logits\": there are caption, log_probability"), "{reason}");
    for shape in [json!([0, -1]), json!([-1, -1]), json!([-2])] {
        let input = json!({ "name": "image", "shape": shape, "datatype": "BYTES", "data": [text] });
        server.post_json(INFER, &json!({ "inputs": [input] })).refused(400);
    }
    let index = server.call("POST", "/v2/repository/index", &[], b"{}").ok();
    assert_eq!(index, json!([{ "name": "caption", "version": "1", "state": "READY", "reason": "" }]));
    assert_eq!(server.get("/v2/models/caption/config").ok()["input"][0]["data_type"], "TYPE_STRING");
    let counted = server.get("/v2/models/caption/versions/1/stats").ok();
    assert!(counted["model_stats"][0]["inference_count"].as_u64().unwrap() > 6, "{counted}");
}

#[test]
fn parameters_of_hugging_face_are_settings_or_passed_over() {
    let server = Server::start(&[]);
    let text = STANDARD.encode(photo(1));
    let words = |body: Value| {
        let answer = server.post_json("/models/caption", &body).ok();
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
    assert!(server.post_json("/models/caption", &body).refused(400).contains("there is no setting beams"));
    // Newer clients for JavaScript want the answer without a list around it.
    let body = json!({ "inputs": text }).to_string();
    let ask = |agent: &str| {
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        server.post_with("/models/caption", &headers, body.as_bytes()).ok()
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
        assert_eq!(form(&parts).ok()["caption"], caption.as_str());
    }
    let shown =
        form(&[part("name=\"top_k\"", b"1"), part("name=\"attention\"", b"false"), file.clone()]).ok();
    assert_eq!(shown["captions"].as_array().unwrap().len(), 1);
    assert!(form(&[part("name=\"file\"; filename=\"\"", b"")]).refused(400).contains("has no photo"));
    assert!(form(&[file.clone(), file.clone()]).refused(400).contains("several photos"));
    assert!(form(&[part("name=\"beam_size\"", b"many"), file]).refused(400).contains("beam_size"));
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
        assert_eq!(answer.ok()["caption"], caption.as_str(), "{method} {path}");
    }
    let rows = json!({ "instances": [{ "b64": STANDARD.encode(&photo) }] });
    for path in [
        "/v1/models/caption%3Apredict",
        "/v1/models/caption/labels/stable:predict",
        "/v1/models/caption:predict/",
    ] {
        assert_eq!(
            server.post_json(path, &rows).ok()["predictions"][0]["caption"],
            caption.as_str(),
            "{path}"
        );
    }
    assert_eq!(server.get("/v1/models/caption/labels/stable").ok(), server.get("/v1/models/caption").ok());
    assert!(server.get("/v1/models/caption/labels/canary").refused(404).contains("\"stable\""));
    for path in ["/healthz", "/v1/models/caption", "/v2/health/ready", "/"] {
        assert_eq!(server.call("HEAD", path, &[], b"").status, 200, "{path}");
    }
    for verb in ["classify", "regress", "explain"] {
        let reason = server.post_json(&format!("/v1/models/caption:{verb}"), &rows).refused(404);
        assert!(reason.contains(verb) && reason.ends_with("post the photo to caption:predict"), "{reason}");
    }
    assert!(server.get("/v2/models/caption/versions/abc").refused(404).contains("\"abc\" is no version"));
    let none = server.call("DELETE", "/v1/models/caption", &[], b"");
    none.refused(405);
    assert_eq!(none.headers["allow"], "GET,HEAD");
    assert_eq!(server.call("DELETE", PREDICT, &[], b"").headers["allow"], "POST");
}
