//! TensorFlow Serving's gRPC, health and reflection, with our own client.

use std::collections::HashMap;
use std::process::Command;

use hyper::http::Request;
use prost::Message;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use serve::proto::tensorflow::serving::model_service_client::ModelServiceClient;
use serve::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use serve::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelStatusRequest, ModelSpec, PredictRequest, PredictResponse,
};
use serve::proto::tensorflow::{DataType, TensorProto};

use crate::limits::connect;
use crate::packed::{gzip, zlib};
use crate::server::{Server, photo};

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn spec(name: &str) -> Option<ModelSpec> {
    Some(ModelSpec { name: name.to_owned(), ..Default::default() })
}

pub(crate) fn predict_request(photos: &[&[u8]], settings: &[(&str, TensorProto)]) -> PredictRequest {
    let photos = photos.iter().map(|photo| photo.to_vec()).collect();
    let photos = TensorProto { dtype: DataType::DtString.into(), string_val: photos, ..Default::default() };
    let settings = settings.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone()));
    let inputs = settings.chain([("image_bytes".to_owned(), photos)]).collect();
    PredictRequest { model_spec: spec("caption"), inputs, ..Default::default() }
}

#[test]
fn predictions_metadata_and_status() {
    let server = Server::start(&[]);
    let wanted = [server.caption(&photo(0)), server.caption(&photo(2))];
    run(async {
        let mut client = PredictionServiceClient::connect(server.grpc.clone()).await.unwrap();
        let both = predict_request(&[&photo(0), &photo(2)], &[]);
        let answer = client.predict(both).await.unwrap().into_inner();
        let captions =
            answer.outputs["caption"].string_val.iter().map(|text| std::str::from_utf8(text).unwrap());
        assert_eq!(captions.collect::<Vec<_>>(), wanted);
        assert!(answer.outputs["log_probability"].double_val.iter().all(|score| *score < 0.0));
        assert_eq!(answer.model_spec.unwrap().name, "caption");

        let beams = TensorProto { dtype: DataType::DtInt32.into(), int_val: vec![0], ..Default::default() };
        let refused =
            client.predict(predict_request(&[&photo(0)], &[("beam_size", beams)])).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("beam_size must be at least 1"), "{}", refused.message());
        let refused = client.predict(predict_request(&[b"no photo"], &[])).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        let other = PredictRequest { model_spec: spec("other"), ..Default::default() };
        assert_eq!(client.predict(other).await.unwrap_err().code(), tonic::Code::NotFound);
        let nothing =
            PredictRequest { model_spec: spec("caption"), inputs: HashMap::new(), ..Default::default() };
        assert_eq!(client.predict(nothing).await.unwrap_err().code(), tonic::Code::InvalidArgument);

        let metadata_field = vec!["signature_def".to_owned()];
        let ask = GetModelMetadataRequest { model_spec: spec("caption"), metadata_field };
        let metadata = client.get_model_metadata(ask).await.unwrap().into_inner();
        assert!(metadata.metadata["signature_def"].type_url.ends_with("tensorflow.serving.SignatureDefMap"));
        let mut client = ModelServiceClient::connect(server.grpc.clone()).await.unwrap();
        let ask = GetModelStatusRequest { model_spec: spec("caption") };
        let status = client.get_model_status(ask).await.unwrap().into_inner();
        assert_eq!(status.model_version_status[0].version, 1);
    });
}

#[test]
fn packed_messages_are_unpacked_within_the_limits() {
    let server = Server::start(&["--max-body-mb", "1"]);
    let photo = photo(1);
    let caption = server.caption(&photo);
    let message = predict_request(&[&photo], &[]).encode_to_vec();
    let bomb = predict_request(&[&vec![0; 50 << 20]], &[]).encode_to_vec();
    let many = predict_request(&vec![&b""[..]; 50_000], &[]).encode_to_vec();
    let ask = async |encoding: &str, message: &[u8]| {
        let mut calls = connect(&server).await;
        let request = Request::post(format!("{}/tensorflow.serving.PredictionService/Predict", server.grpc));
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let (answer, mut stream) =
            calls.send_request(request.header("grpc-encoding", encoding).body(()).unwrap(), false).unwrap();
        let prefix = [&[1][..], &(message.len() as u32).to_be_bytes(), message].concat();
        stream.send_data(prefix.into(), true).unwrap();
        let answer = answer.await.unwrap();
        let head = answer.headers().clone();
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(Ok(piece)) = body.data().await {
            bytes.extend_from_slice(&piece);
        }
        let text = head.get("grpc-message").map(|text| text.to_str().unwrap().replace("%20", " "));
        let answer = bytes.get(5..).and_then(|bytes| PredictResponse::decode(bytes).ok());
        (answer.map(|answer| answer.outputs["caption"].string_val[0].clone()), text.unwrap_or_default())
    };
    run(async {
        for (encoding, message) in [("gzip", gzip(&message)), ("deflate", zlib(&message))] {
            let (answer, text) = ask(encoding, &message).await;
            assert_eq!(answer.as_deref(), Some(caption.as_bytes()), "{encoding}: {text}");
        }
        for (encoding, message, says) in [
            ("gzip", &gzip(&message)[..100], "cut short"),
            ("gzip", &gzip(&bomb), "larger than the 1 MB allowed"),
            ("gzip", &gzip(&many), "64 kB beside its photos"),
            ("snappy", &message[..100], "send gzip, deflate"),
            ("identity", &message[..100], "send gzip, deflate"),
        ] {
            let (answer, text) = ask(encoding, message).await;
            assert!(answer.is_none() && text.contains(says), "{encoding}: {text}");
        }
    });
}

#[test]
fn health_is_told_until_the_end_and_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let server = Server::start(&["--token-file", token.to_str().unwrap()]);
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    run(async {
        let channel = Endpoint::new(server.grpc.clone()).unwrap().connect().await.unwrap();
        let mut health = HealthClient::new(channel.clone());
        for service in [
            "",
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
            "inference.GRPCInferenceService",
        ] {
            let answer = health.check(ask(service)).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
        }
        assert_eq!(health.check(ask("other")).await.unwrap_err().code(), tonic::Code::NotFound);
        let mut other = health.watch(ask("other")).await.unwrap().into_inner();
        assert_eq!(other.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
        drop(other);
        let mut watched = health.watch(ask("")).await.unwrap().into_inner();
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        // What the model and its messages are is for those who have the token.
        let list = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(channel);
        let asked = || futures_util::stream::iter([list.clone()]);
        let refused = reflection.server_reflection_info(asked()).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let mut request = tonic::Request::new(asked());
        request.metadata_mut().insert("authorization", "BEARER secret".parse().unwrap());
        let mut answers = reflection.server_reflection_info(request).await.unwrap().into_inner();
        let Some(MessageResponse::ListServicesResponse(listed)) =
            answers.message().await.unwrap().unwrap().message_response
        else {
            panic!("no list")
        };
        let names: Vec<&str> = listed.service.iter().map(|service| service.name.as_str()).collect();
        assert!(names.contains(&"tensorflow.serving.PredictionService"), "{names:?}");
        assert!(names.contains(&"inference.GRPCInferenceService"), "{names:?}");
        assert!(Command::new("kill").arg(server.child.id().to_string()).status().unwrap().success());
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert!(watched.message().await.unwrap().is_none(), "a watch holds no server up");
    });
}
