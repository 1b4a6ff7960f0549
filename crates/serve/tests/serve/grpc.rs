//! TensorFlow Serving's gRPC: with our own client, and with the one of its users.

use std::collections::HashMap;
use std::process::Command;

use serve::proto::tensorflow::serving::model_service_client::ModelServiceClient;
use serve::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use serve::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelStatusRequest, ModelSpec, PredictRequest,
};
use serve::proto::tensorflow::{DataType, TensorProto};

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
fn the_client_of_tensorflow_serving_understands_us() {
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/client.py");
    let Some(python) = needs::python("import grpc, tensorflow_serving.apis.predict_pb2") else { return };
    let server = Server::start(&[]);
    let wanted = server.caption(&photo(1));
    let path = server.folder.path("photo.png");
    std::fs::write(&path, photo(1)).unwrap();
    let address = server.grpc.strip_prefix("http://").unwrap();
    let output = Command::new(python).args([client, address]).arg(path).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), wanted, "{complaint}");
}
