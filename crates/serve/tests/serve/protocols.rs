//! Every way to a caption, and what each says when there is none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use serve::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;

use crate::grpc::{predict_request, run};
use crate::inference;
use crate::requests::PREDICT;
use crate::server::{Server, photo};

#[test]
fn the_same_photo_gets_the_same_caption_on_every_route() {
    let server = Server::start(&[]);
    let captions: Vec<String> = (0..3).map(|number| server.caption(&photo(number))).collect();
    assert!(captions[0] != captions[1] && captions[1] != captions[2], "{captions:?}");
    for (number, caption) in captions.iter().enumerate() {
        let photo = photo(number as u8);
        let text = STANDARD.encode(&photo);
        let b64 = json!({ "b64": text });
        let rows = json!({ "instances": [b64, { "image_bytes": b64 }] });
        let columns = json!({ "inputs": { "image_bytes": [b64] }, "signature_name": "serving_default" });
        let bare_columns = json!({ "inputs": [b64] });
        let tensor = json!({ "name": "image", "shape": [1], "datatype": "BYTES", "data": [text] });
        let infer = json!({ "id": "7", "inputs": [tensor] });
        let body = |answer: crate::server::Answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.json()
        };
        let raw = |path: &str| body(server.post(path, "application/octet-stream", &photo));
        let form = |path: &str, field: &str| body(server.post_form(path, field, &photo));
        let sent = |path: &str, json: &Value| body(server.post_json(path, json));
        let found = [
            form("/caption", "image")["caption"].clone(),
            form("/predict", "file")["caption"].clone(),
            form("/predict", "image")["caption"].clone(),
            form("/predict", "data")["caption"].clone(),
            raw("/")[0]["generated_text"].clone(),
            raw("/models/caption")[0]["generated_text"].clone(),
            sent("/", &json!({ "inputs": text }))[0]["generated_text"].clone(),
            raw("/predictions/caption")["caption"].clone(),
            form("/predictions/caption/1.0", "data")["caption"].clone(),
            sent("/v1/models/caption:predict", &rows)["predictions"][0]["caption"].clone(),
            sent("/v1/models/caption:predict", &rows)["predictions"][1]["caption"].clone(),
            sent("/v1/models/caption/versions/1:predict", &columns)["outputs"]["caption"][0].clone(),
            sent("/v1/models/caption:predict", &bare_columns)["outputs"]["caption"][0].clone(),
            sent("/v2/models/caption/infer", &infer)["outputs"][0]["data"][0].clone(),
            sent("/v2/models/caption/versions/1/infer", &infer)["outputs"][0]["data"][0].clone(),
            binary(&server, &photo),
            grpc(&server, &photo).into(),
            inference::caption(&server, &photo).into(),
        ];
        for (way, found) in found.iter().enumerate() {
            assert_eq!(found, caption, "way {way} of photo {number}");
        }
    }
}

/// Triton's way: JSON, then the bytes.
fn binary(server: &Server, photo: &[u8]) -> Value {
    let size = photo.len() + 4;
    let parameters = json!({ "binary_data_size": size });
    let tensor = json!({ "name": "image", "shape": [1, 1], "datatype": "BYTES", "parameters": parameters });
    let head = json!({ "inputs": [tensor] }).to_string();
    let body = [head.as_bytes(), &(photo.len() as u32).to_le_bytes(), photo].concat();
    let length = head.len().to_string();
    let answer =
        server.post_with("/v2/models/caption/infer", &[("inference-header-content-length", &length)], &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["outputs"][0]["data"][0].clone()
}

fn grpc(server: &Server, photo: &[u8]) -> String {
    run(async {
        let mut client = PredictionServiceClient::connect(server.grpc.clone()).await.unwrap();
        let answer = client.predict(predict_request(&[photo], &[])).await.unwrap().into_inner();
        String::from_utf8(answer.outputs["caption"].string_val[0].clone()).unwrap()
    })
}

#[test]
fn our_own_answer_has_beams_words_and_attention() {
    let server = Server::start(&[]);
    let answer = server.post("/caption?beam_size=4&max_length=6&top_k=2", "image/png", &photo(1)).json();
    let captions = answer["captions"].as_array().unwrap();
    assert_eq!(captions.len(), 2);
    assert_eq!(captions[0]["caption"], answer["caption"]);
    let words = captions[0]["words"].as_array().unwrap();
    assert!((1..=6).contains(&words.len()));
    for word in words {
        let shares = word["attention"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap());
        assert!((shares.sum::<f64>() - 1.0).abs() < 1e-3);
        assert!(word["log_probability"].as_f64().unwrap() <= 0.0);
    }
    assert_eq!(answer["grid"], json!([7, 7]));
    assert_eq!((answer["seen"]["width"].clone(), answer["seen"]["height"].clone()), (json!(300), json!(260)));
    assert_eq!(answer["model"], json!({ "name": "caption", "version": 1 }));
    assert!(answer["milliseconds"]["features"].as_f64().unwrap() > 0.0);
    let plain = server.post("/caption?attention=false", "image/png", &photo(1)).json();
    assert_eq!(plain["captions"][0]["words"][0]["attention"], Value::Null);
    // Settings beside the photo in TensorFlow's rows and columns are those of the query here.
    let b64 = json!({ "b64": STANDARD.encode(photo(1)) });
    let row = json!({ "image_bytes": b64, "beam_size": 4, "max_length": 6 });
    let columns = json!({ "image_bytes": [b64, b64], "beam_size": [4, 1], "max_length": 6 });
    let row = server.post_json("/v1/models/caption:predict", &json!({ "instances": [row] })).json();
    let columns = server.post_json("/v1/models/caption:predict", &json!({ "inputs": columns })).json();
    let score = &answer["captions"][0]["log_probability"];
    let near = |other: &Value| (score.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-4;
    assert_eq!(row["predictions"][0]["caption"], answer["caption"]);
    assert_eq!(columns["outputs"]["caption"][0], answer["caption"]);
    assert!(near(&row["predictions"][0]["log_probability"]), "{row}");
    assert!(near(&columns["outputs"]["log_probability"][0]), "{columns}");
}

#[test]
fn a_server_says_what_it_serves() {
    let server = Server::start(&["--name", "captions"]);
    let get = |path: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    };
    let status = get("/v1/models/captions");
    assert_eq!(status["model_version_status"][0]["state"], "AVAILABLE");
    assert_eq!(status["model_version_status"][0]["version"], "1");
    assert_eq!(status.as_object().unwrap().len(), 1, "TensorFlow's readers take no other fields");
    assert_eq!(get("/v1/models/captions/versions/1"), status);
    let models = get("/v1/models");
    assert_eq!(models["models"], json!(["captions"]));
    assert_eq!(models["data"][0]["id"], "captions");
    let metadata = get("/v1/models/captions/metadata");
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(signature["inputs"]["image_bytes"]["dtype"], "DT_STRING");
    assert_eq!(signature["outputs"]["log_probability"]["dtype"], "DT_DOUBLE");
    assert_eq!(get("/v2/models/captions")["inputs"][0]["datatype"], "BYTES");
    assert_eq!(get("/v2/models/captions/versions/1/ready")["ready"], true);
    assert_eq!(get("/v2/health/live")["live"], true);
    assert_eq!(get("/v2/health/ready")["ready"], true);
    assert_eq!(
        get("/v2")["extensions"],
        json!(["binary_tensor_data", "model_configuration", "model_repository", "statistics"])
    );
    assert_eq!(get("/ping")["status"], "Healthy");
    assert_eq!(get("/healthz")["model"]["name"], "captions");
    for path in ["/v1/models/other", "/v1/models/captions/versions/2", "/v2/models/other/ready", "/nowhere"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].is_string(), "{path}");
    }
    assert_eq!(server.get("/caption").status, 405);
    let id = server.post_with("/caption", &[("x-request-id", "mine-1")], &photo(0)).headers;
    assert_eq!(id["x-request-id"], "mine-1");
}

#[test]
fn every_described_address_answers() {
    let samples = tempfile::tempdir().unwrap();
    std::fs::write(samples.path().join("one.png"), photo(0)).unwrap();
    let server = Server::start(&["--samples", samples.path().to_str().unwrap()]);
    let description = server.get("/openapi.json").json();
    let paths = description["paths"].as_object().unwrap();
    for (path, methods) in paths {
        let path = path.replace("{model}", "caption").replace("{version}", "1").replace("{name}", "one.png");
        let path = path.replace("{label}", "stable");
        for (method, call) in methods.as_object().unwrap() {
            let kind = [("content-type", "application/octet-stream")];
            let answer = server.call(&method.to_uppercase(), &path, &kind, b"");
            // No photo: refused by its route, not by the router.
            let wanted = if call["requestBody"].is_null() { 200 } else { 400 };
            assert_eq!(answer.status, wanted, "{method} {path}: {}", answer.body);
        }
    }
    for (path, says) in [("/", "<h1"), ("/docs", "openapi.json")] {
        let page = server.call("GET", path, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], b"");
        assert!(page.body.contains(says), "{path}");
        assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    }
}

#[test]
fn a_token_is_asked_for_where_there_is_one() {
    let token = tempfile(b"secret\n");
    let server = Server::start(&["--token-file", token.to_str().unwrap()]);
    let post = |headers: &[(&str, &str)]| server.post_with("/caption", headers, &photo(0)).status;
    assert_eq!(post(&[]), 401);
    assert_eq!(post(&[("authorization", "Bearer secre")]), 401);
    assert_eq!(post(&[("authorization", "Bearer secret!")]), 401);
    assert_eq!(post(&[("authorization", "Bearer secret")]), 200);
    assert_eq!(server.get("/v1/models/caption").status, 401);
    assert_eq!(post(&[("authorization", "bearer  secret ")]), 200);
    assert_eq!(post(&[("authorization", "BEARER secret")]), 200);
    assert_eq!(post(&[("authorization", "Basic secret")]), 401);
    // Machines that watch the server have no token.
    for probe in ["/healthz", "/health", "/readyz", "/livez", "/ping", "/v2/health/live", "/v2/health/ready"]
    {
        assert_eq!(server.get(probe).status, 200, "{probe}");
    }
    run(async {
        let mut client = PredictionServiceClient::connect(server.grpc.clone()).await.unwrap();
        let refused = client.predict(predict_request(&[&photo(0)], &[])).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let mut request = tonic::Request::new(predict_request(&[&photo(0)], &[]));
        request.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
        client.predict(request).await.unwrap();
    });
    std::fs::remove_file(token).unwrap();
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

fn tempfile(bytes: &[u8]) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("serve-token-{}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}
