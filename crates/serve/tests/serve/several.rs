//! Several models in one server, addressed by name, version and label in every protocol.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline_tests::Workspace;
use serde_json::{Value, json};
use serve::proto::inference::ModelInferRequest;
use serve::proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use serve::proto::tensorflow::serving::model_spec::VersionChoice;
use serve::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use serve::proto::tensorflow::serving::{ModelSpec, PredictRequest};

use crate::grpc::{predict_request, run};
use crate::inference::raw;
use crate::requests::tensor;
use crate::server::{Server, photo};

/// `large`, of versions 2 and 5, and `small`, in one folder.
fn models() -> Workspace {
    let folder = Workspace::new("").with_weights("resnet18");
    folder.random_model("models/large/2/model.safetensors", 1);
    folder.random_model("models/large/5/model.safetensors", 2);
    folder.random_model("models/small.safetensors", 3);
    folder
}

/// Exports of ensembles have such names.
#[test]
fn a_name_with_a_plus_sign_is_found_in_a_query() {
    let folder = Workspace::new("").with_weights("resnet18");
    folder.random_model("models/a.safetensors", 1);
    folder.random_model("models/lstm+up_down.safetensors", 2);
    let server = Server::start_in(folder, "models", &[]);
    let escaped = caption_of(&server, "lstm%2Bup_down");
    assert_ne!(escaped, caption_of(&server, "a"));
    assert_eq!(caption_of(&server, "lstm+up_down"), escaped);
    let path = server.post("/predictions/lstm+up_down", "image/png", &photo(1)).ok();
    assert_eq!(path["caption"], escaped);
}

fn caption_of(server: &Server, model: &str) -> Value {
    server.post(&format!("/caption?model={model}"), "image/png", &photo(1)).ok()["caption"].clone()
}

/// The caption of [`photo`] 1 by a model, in every protocol that names one.
fn captions(server: &Server, model: &str, version: u64) -> Vec<(String, Value)> {
    let text = STANDARD.encode(photo(1));
    let (b64, data) = (json!({ "b64": text }), format!("data:image/png;base64,{text}"));
    let chat =
        json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": data } }] }]);
    let predict = json!({ "instances": [b64] });
    let mut all = Vec::new();
    for (path, body, at) in [
        (format!("/v1/models/{model}:predict"), predict.clone(), "/predictions/0/caption"),
        (format!("/v1/models/{model}/versions/{version}:predict"), predict.clone(), "/predictions/0/caption"),
        (format!("/v1/models/{model}/labels/stable:predict"), predict, "/predictions/0/caption"),
        (format!("/v2/models/{model}/infer"), tensor(&text), "/outputs/0/data/0"),
        (format!("/v2/models/{model}/versions/{version}/infer"), tensor(&text), "/outputs/0/data/0"),
        (format!("/models/{model}"), json!({ "inputs": text }), "/0/generated_text"),
        (format!("/predictions/{model}"), json!({ "data": text }), "/caption"),
        (format!("/predictions/{model}/{version}.0"), json!({ "data": text }), "/caption"),
        (format!("/predict?model={model}"), json!({ "image": text }), "/caption"),
        (format!("/?model={model}:{version}"), json!({ "inputs": text }), "/0/generated_text"),
        (
            "/api/generate".to_owned(),
            json!({ "model": format!("{model}:latest"), "images": [text], "stream": false }),
            "/response",
        ),
        (
            "/api/chat".to_owned(),
            json!({ "model": model, "messages": [{ "images": [text] }], "stream": false }),
            "/message/content",
        ),
        (
            "/v1/chat/completions".to_owned(),
            json!({ "model": model, "messages": chat }),
            "/choices/0/message/content",
        ),
        (
            "/v1/responses".to_owned(),
            json!({ "model": format!("{model}:{version}"), "input": [{ "type": "input_image", "image_url": data }] }),
            "/output/0/content/0/text",
        ),
    ] {
        let answer = server.post_json(&path, &body);
        all.push((path, answer.ok().pointer(at).unwrap_or_else(|| panic!("{}", answer.body)).clone()));
    }
    let grpc = |choice: Option<VersionChoice>| {
        let spec = ModelSpec { name: model.to_owned(), version_choice: choice, ..Default::default() };
        let request = PredictRequest { model_spec: Some(spec), ..predict_request(&[&photo(1)], &[]) };
        run(async {
            let mut client = PredictionServiceClient::connect(server.grpc.clone()).await.unwrap();
            let answer = client.predict(request).await.unwrap().into_inner();
            String::from_utf8(answer.outputs["caption"].string_val[0].clone()).unwrap()
        })
    };
    let label = VersionChoice::VersionLabel("stable".to_owned());
    all.push(("gRPC".to_owned(), grpc(None).into()));
    all.push(("gRPC, by label".to_owned(), grpc(Some(label)).into()));
    let infer = |version: String| {
        let request = ModelInferRequest {
            model_name: model.to_owned(),
            model_version: version,
            ..raw(&[1], &[&photo(1)])
        };
        run(async {
            let mut client = GrpcInferenceServiceClient::connect(server.grpc.clone()).await.unwrap();
            let answer = client.model_infer(request).await.unwrap().into_inner();
            String::from_utf8(answer.raw_output_contents[0][4..].to_vec()).unwrap()
        })
    };
    all.push(("Open Inference gRPC".to_owned(), infer(String::new()).into()));
    all.push(("Open Inference gRPC, by version".to_owned(), infer(version.to_string()).into()));
    all
}

#[test]
fn every_protocol_addresses_each_model_by_its_name() {
    let folder = models();
    let server = Server::start_in(folder, "models", &[]);
    let (large, small) = (caption_of(&server, "large"), caption_of(&server, "small"));
    assert_ne!(large, small, "the two models should differ");
    for (model, version, wanted) in [("large", 5, &large), ("small", 1, &small)] {
        for (path, caption) in captions(&server, model, version) {
            assert_eq!(caption, *wanted, "{model}: {path}");
        }
    }
    // The first is meant where none is named.
    assert_eq!(server.caption(&photo(1)), large);
    assert_eq!(server.post_form("/predict", "file", &photo(1)).ok()["caption"], large);

    let names = |path: &str, list: &str, name: &str| -> Vec<Value> {
        let listed = server.get(path).ok();
        listed[list].as_array().unwrap().iter().map(|model| model[name].clone()).collect()
    };
    assert_eq!(server.get("/v1/models").ok()["models"], json!(["large", "small"]));
    assert_eq!(names("/v1/models", "data", "id"), ["large", "small"]);
    assert_eq!(names("/api/tags", "models", "model"), ["large:latest", "small:latest"]);
    assert_eq!(names("/healthz", "models", "version"), [json!(5), json!(1)]);
    let index = server.post_json("/v2/repository/index", &json!({})).ok();
    assert_eq!((&index[0]["name"], &index[1]["name"]), (&json!("large"), &json!("small")));

    // Of each its own counts.
    assert!(server.metric("serve_model_requests_total{model=\"large\",status=\"200\"}") > 15.0);
    assert_eq!(server.metric("serve_model_version{model=\"large\"}"), 5.0);
    assert!(server.metric("serve_model_memory_bytes{model=\"large\"}") > 1e6);
    let counted = |model: &str| {
        let stats = server.get(&format!("/v2/models/{model}/stats")).ok();
        stats["model_stats"][0]["inference_count"].as_u64().unwrap()
    };
    let (of_large, of_small) = (counted("large"), counted("small"));
    assert_eq!(server.metric("serve_batch_photos_sum{model=\"small\"}"), of_small as f64);
    caption_of(&server, "small");
    assert_eq!((counted("large"), counted("small")), (of_large, of_small + 1));

    for (path, says) in [
        ("/caption?model=medium", "there is no model \"medium\" here: there are large, small"),
        ("/caption?model=large:2", "version 2 of large is not served: 5 is"),
        ("/caption?model=large:newest", "large has no version \"newest\""),
    ] {
        let reason = server.post(path, "image/png", &photo(1)).refused(404);
        assert!(reason.contains(says), "{reason}");
    }
}

#[test]
fn each_model_is_reloaded_by_itself() {
    let folder = models();
    let values = ["small=models/small.safetensors", "large=models/large"];
    let server = Server::start_at(folder, &[&["--model"], &values[..]].concat());
    let (large, small) = (caption_of(&server, "large"), caption_of(&server, "small"));
    assert_eq!(server.caption(&photo(1)), small);
    let new = server.folder.random_model("new/model.safetensors", 4);
    std::fs::create_dir(server.folder.path("models/large/6")).unwrap();
    std::fs::rename(new, server.folder.path("models/large/6/model.safetensors")).unwrap();
    server.wait_for("newer model loaded");
    assert_ne!(caption_of(&server, "large"), large);
    assert_eq!(caption_of(&server, "small"), small);
    assert_eq!(server.metric("serve_model_loads_total{model=\"large\",result=\"ok\"}"), 1.0);
    assert_eq!(server.metric("serve_model_loads_total{model=\"small\",result=\"ok\"}"), 0.0);

    std::fs::write(server.folder.path("models/small.safetensors"), "not a model").unwrap();
    server.wait_for("the old one stays");
    let health = server.get("/healthz").ok();
    assert_eq!(health["status"], "degraded");
    assert!(health["problems"][0].as_str().unwrap().starts_with("small: the newer model cannot be loaded"));
    assert_eq!(caption_of(&server, "small"), small);
}

#[test]
fn names_that_cannot_stand_in_addresses_end_the_start() {
    let folder = models();
    std::fs::create_dir(folder.path("empty")).unwrap();
    let start = |values: &[&str]| {
        let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_serve"));
        serve.args(["--port", "0", "--grpc-port", "0", "--weights"]).arg(folder.path("weights"));
        let output = serve.arg("--model").args(values).current_dir(folder.path("")).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (values, says) in [
        (&["a=models/small.safetensors", "a=models/large"][..], "two models are named \"a\""),
        (&["models/small.safetensors", "models/large"], "two models are named \"caption\""),
        (&["stats=models/large"], "\"stats\" is no name of a model"),
        (&["empty"], "empty holds no model"),
        (&["a=nothing"], "cannot read nothing"),
    ] {
        let error = start(values);
        assert!(error.contains(says), "{error}");
    }
}
