//! Open Inference over gRPC, with our own client and with messages that no client sends.

use std::collections::HashMap;

use hyper::body::Bytes;
use hyper::http::Request;
use prost::Message;
use tonic::Code;
use tonic::transport::Channel;

use serve::proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use serve::proto::inference::infer_parameter::ParameterChoice;
use serve::proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use serve::proto::inference::{
    InferParameter, InferTensorContents, ModelConfigRequest, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelReadyRequest, ModelStatisticsRequest, RepositoryIndexRequest,
    ServerLiveRequest, ServerMetadataRequest, ServerReadyRequest,
};

use crate::grpc::run;
use crate::limits::connect;
use crate::packed::{gzip, zlib};
use crate::server::{Server, photo};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

async fn client(server: &Server) -> GrpcInferenceServiceClient<Channel> {
    GrpcInferenceServiceClient::connect(server.grpc.clone()).await.unwrap()
}

fn request(inputs: Vec<InferInputTensor>) -> ModelInferRequest {
    ModelInferRequest { model_name: "caption".to_owned(), inputs, ..Default::default() }
}

fn input(shape: &[i64]) -> InferInputTensor {
    let (name, datatype) = ("image".to_owned(), "BYTES".to_owned());
    InferInputTensor { name, datatype, shape: shape.to_vec(), ..Default::default() }
}

/// Photos in the contents of their input.
fn typed(shape: &[i64], photos: &[&[u8]]) -> ModelInferRequest {
    let bytes_contents = photos.iter().map(|photo| Bytes::copy_from_slice(photo)).collect();
    let contents = Some(InferTensorContents { bytes_contents, ..Default::default() });
    request(vec![InferInputTensor { contents, ..input(shape) }])
}

/// Photos behind the inputs, each after its length.
pub(crate) fn raw(shape: &[i64], photos: &[&[u8]]) -> ModelInferRequest {
    let framed = |photo: &&[u8]| [&(photo.len() as u32).to_le_bytes(), *photo].concat();
    let bytes: Vec<u8> = photos.iter().flat_map(framed).collect();
    ModelInferRequest { raw_input_contents: vec![bytes.into()], ..request(vec![input(shape)]) }
}

fn parameters(all: &[(&str, ParameterChoice)]) -> HashMap<String, InferParameter> {
    let one = |(name, choice): &(&str, ParameterChoice)| {
        ((*name).to_owned(), InferParameter { parameter_choice: Some(choice.clone()) })
    };
    all.iter().map(one).collect()
}

fn output(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor { name: name.to_owned(), ..Default::default() }
}

/// The texts of a raw BYTES tensor.
fn texts(mut raw: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = raw.split_first_chunk::<4>() {
        let (text, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        texts.push(std::str::from_utf8(text).unwrap().to_owned());
        raw = rest;
    }
    assert!(raw.is_empty());
    texts
}

/// The caption of a photo.
pub(crate) fn caption(server: &Server, photo: &[u8]) -> String {
    run(async {
        let answer = client(server).await.model_infer(raw(&[1], &[photo])).await.unwrap().into_inner();
        texts(&answer.raw_output_contents[0]).remove(0)
    })
}

#[test]
fn photos_are_answered_as_they_came() {
    let server = Server::start(&[]);
    let photos = [photo(0), photo(2)];
    let photos: [&[u8]; 2] = [&photos[0], &photos[1]];
    let wanted = photos.map(|photo| server.caption(photo)).to_vec();
    run(async {
        let mut client = client(&server).await;
        let mut scores = Vec::new();
        for shape in [&[2][..], &[2, 1], &[1, 2], &[-1], &[-1, 1]] {
            let answer = client.model_infer(raw(shape, &photos)).await.unwrap().into_inner();
            let [captions, numbers] = answer.raw_output_contents.as_slice() else { panic!("{answer:?}") };
            assert_eq!(texts(captions), wanted, "{shape:?}");
            let numbers = numbers.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            scores = numbers.collect();
            assert!(scores.len() == 2 && scores.iter().all(|score| *score < 0.0), "{scores:?}");
            let described: Vec<_> = answer
                .outputs
                .iter()
                .map(|output| {
                    assert!(output.contents.is_none());
                    (output.name.as_str(), output.datatype.as_str(), output.shape.as_slice())
                })
                .collect();
            assert_eq!(described, [("caption", "BYTES", &[2][..]), ("log_probability", "FP64", &[2])]);
        }
        let answer = client.model_infer(typed(&[2, 1], &photos)).await.unwrap().into_inner();
        assert!(answer.raw_output_contents.is_empty());
        let contents: Vec<_> = answer.outputs.iter().map(|output| output.contents.clone().unwrap()).collect();
        assert_eq!(contents[0].bytes_contents, wanted);
        assert_eq!(contents[1].fp64_contents, scores);
        assert_eq!(
            (answer.model_name.as_str(), answer.model_version.as_str(), answer.id.as_str()),
            ("caption", "1", "")
        );

        let ask = ModelInferRequest {
            id: "seven".to_owned(),
            model_version: "1".to_owned(),
            outputs: vec![output("log_probability")],
            parameters: parameters(&[
                ("max_length", ParameterChoice::Int64Param(3)),
                ("beam_size", ParameterChoice::StringParam("2".to_owned())),
                ("length_penalty", ParameterChoice::DoubleParam(0.5)),
                ("min_length", ParameterChoice::Uint64Param(1)),
                ("priority", ParameterChoice::Uint64Param(1)),
                ("timeout", ParameterChoice::Int64Param(1000)),
                ("sequence_start", ParameterChoice::BoolParam(true)),
            ]),
            ..raw(&[2], &photos)
        };
        let answer = client.model_infer(ask.clone()).await.unwrap().into_inner();
        assert_eq!(
            (answer.id.as_str(), answer.outputs.len(), answer.raw_output_contents.len()),
            ("seven", 1, 1)
        );
        let ask = ModelInferRequest { outputs: vec![output("caption")], ..ask };
        let answer = client.model_infer(ask).await.unwrap().into_inner();
        assert!(texts(&answer.raw_output_contents[0]).iter().all(|text| text.split(' ').count() <= 3));
    });
    assert_eq!(
        server.metric("serve_requests_total{route=\"GRPCInferenceService.ModelInfer\",status=\"Ok\"}"),
        8.0
    );
}

#[test]
fn what_the_server_says_of_itself_over_http_it_says_here() {
    let server = Server::start(&[]);
    run(async {
        let mut client = client(&server).await;
        let (name, version) = ("caption".to_owned(), String::new());
        let said = client.server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
        assert_eq!(serde_json::to_value(said).unwrap(), server.get("/v2").ok());
        let ask = ModelMetadataRequest { name: name.clone(), version: version.clone() };
        let said = client.model_metadata(ask).await.unwrap().into_inner();
        assert_eq!(serde_json::to_value(said).unwrap(), server.get("/v2/models/caption").ok());
        let ask = ModelConfigRequest { name: name.clone(), version: "1".to_owned() };
        let said = client.model_config(ask).await.unwrap().into_inner().config;
        assert_eq!(serde_json::to_value(said).unwrap(), server.get("/v2/models/caption/config").ok());
        client.model_infer(typed(&[1], &[&photo(0)])).await.unwrap();
        for name in [name.clone(), String::new()] {
            let ask = ModelStatisticsRequest { name, version: version.clone() };
            let said = client.model_statistics(ask).await.unwrap().into_inner();
            assert_eq!(said.model_stats[0].inference_count, 1);
            assert_eq!(serde_json::to_value(said).unwrap(), server.get("/v2/models/caption/stats").ok());
        }
        let said =
            client.repository_index(RepositoryIndexRequest { ready: true }).await.unwrap().into_inner();
        let index = server.call("POST", "/v2/repository/index", &[], b"").ok();
        assert_eq!(serde_json::to_value(said.models).unwrap(), index);
        for (name, version, wanted) in [
            ("caption", "", true),
            ("caption", "1", true),
            ("caption", "2", false),
            ("caption", "new", false),
            ("other", "", false),
        ] {
            let ask = ModelReadyRequest { name: name.to_owned(), version: version.to_owned() };
            assert_eq!(client.model_ready(ask).await.unwrap().into_inner().ready, wanted, "{name} {version}");
        }
        let other = ModelMetadataRequest { name: "other".to_owned(), version };
        assert_eq!(client.model_metadata(other).await.unwrap_err().code(), Code::NotFound);
    });
}

/// What is wrong, the request, its code, and words of the reason.
fn wrong() -> Vec<(&'static str, ModelInferRequest, Code, &'static str)> {
    let good = photo(1);
    let long = "A".repeat(60_000);
    let with = |name: &str, choice: ParameterChoice| ModelInferRequest {
        parameters: parameters(&[(name, choice)]),
        ..raw(&[1], &[&good])
    };
    let bare = |bytes: &[u8]| ModelInferRequest {
        raw_input_contents: vec![Bytes::copy_from_slice(bytes)],
        ..request(vec![input(&[1])])
    };
    let asked = |name: &str| InferRequestedOutputTensor {
        parameters: parameters(&[(name, ParameterChoice::Int64Param(1))]),
        ..output("caption")
    };
    let region = parameters(&[("shared_memory_region", ParameterChoice::StringParam("r".to_owned()))]);
    let shared = InferInputTensor { parameters: region, ..input(&[1]) };
    let pixels = InferInputTensor { datatype: "UINT8".to_owned(), ..input(&[1, 2, 2, 3]) };
    let named = |name: &str, version: &str| ModelInferRequest {
        model_name: name.to_owned(),
        model_version: version.to_owned(),
        ..raw(&[1], &[&good])
    };
    let both = ModelInferRequest {
        raw_input_contents: raw(&[1], &[&good]).raw_input_contents,
        ..typed(&[1], &[&good])
    };
    let two = raw(&[1], &[&good]).raw_input_contents;
    let two =
        ModelInferRequest { raw_input_contents: [two.clone(), two].concat(), ..request(vec![input(&[1])]) };
    let framed = two.raw_input_contents[0].to_vec();
    let bad = Code::InvalidArgument;
    vec![
        ("another model", named("other", ""), Code::NotFound, "there is no model \"other\""),
        ("no model", named("", ""), Code::NotFound, "there is no model"),
        ("a long name", named(&long, ""), Code::NotFound, "there is no model"),
        ("another version", named("caption", "2"), Code::NotFound, "version 2 of caption is not served"),
        ("no version", named("caption", "newest"), Code::NotFound, "\"newest\" is no version"),
        ("no input", request(vec![]), bad, "send one input"),
        ("two inputs", request(vec![input(&[1]), input(&[1])]), bad, "send one input"),
        ("pixels", request(vec![pixels]), bad, "UINT8: send the bytes of the photo's file as BYTES"),
        ("shared memory", request(vec![shared]), bad, "shares no memory"),
        ("no contents", request(vec![input(&[1])]), bad, "[1] does not fit 0 photos"),
        ("nothing of nothing", request(vec![input(&[0])]), bad, "holds no photo"),
        ("both contents", both, bad, "not in both"),
        ("two entries", two, bad, "2 entries for one input"),
        ("another shape", raw(&[2], &[&good]), bad, "[2] does not fit 1 photos"),
        ("an open shape", raw(&[-1, -1], &[&good]), bad, "does not fit"),
        ("a huge shape", typed(&[i64::MAX, i64::MAX], &[&good]), bad, "does not fit"),
        (
            "a photo without its length",
            bare(&good),
            bad,
            "at index 0 is cut short: before each stands its length",
        ),
        ("half a photo", bare(&framed[..framed.len() / 2]), bad, "at index 0 is cut short"),
        ("bytes left over", bare(&[&framed[..], b"abc"].concat()), bad, "left over"),
        ("half a length", bare(b"ab"), bad, "left over"),
        ("a huge length", bare(b"\xff\xff\xff\xff"), bad, "cut short"),
        ("an empty photo", raw(&[1], &[b""]), bad, "cannot be used"),
        ("no photo", typed(&[1], &[b"no photo"]), bad, "cannot be used"),
        ("one of two", raw(&[2], &[&good, b"no photo"]), bad, "at index 1: "),
        (
            "another output",
            ModelInferRequest { outputs: vec![output("logits")], ..raw(&[1], &[&good]) },
            bad,
            "no output \"logits\": there are caption",
        ),
        (
            "classes",
            ModelInferRequest { outputs: vec![asked("classification")], ..raw(&[1], &[&good]) },
            bad,
            "without classification",
        ),
        (
            "an output in shared memory",
            ModelInferRequest { outputs: vec![asked("shared_memory_byte_size")], ..raw(&[1], &[&good]) },
            bad,
            "shares no memory",
        ),
        (
            "another setting",
            with("beams", ParameterChoice::Int64Param(3)),
            bad,
            "no setting beams: there are",
        ),
        ("a long setting", with(&long, ParameterChoice::Int64Param(3)), bad, "there is no setting"),
        (
            "a text",
            with("beam_size", ParameterChoice::StringParam(long.clone())),
            bad,
            "beam_size must be a whole number",
        ),
        (
            "true",
            with("beam_size", ParameterChoice::BoolParam(true)),
            bad,
            "beam_size must be a whole number",
        ),
        (
            "no number",
            with("length_penalty", ParameterChoice::DoubleParam(f64::NAN)),
            bad,
            "length_penalty must be a number",
        ),
        ("a huge beam", with("beam_size", ParameterChoice::Uint64Param(u64::MAX)), bad, "beam_size"),
        (
            "less than none",
            with("beam_size", ParameterChoice::Int64Param(-1)),
            bad,
            "beam_size must be a whole number",
        ),
    ]
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let server = Server::start(&[]);
    run(async {
        let mut client = client(&server).await;
        for (what, request, code, words) in wrong() {
            let refused = client.model_infer(request).await.unwrap_err();
            assert_eq!(refused.code(), code, "{what}: {}", refused.message());
            assert!(refused.message().contains(words), "{what}: {}", refused.message());
            assert!(refused.message().len() < 800 && !refused.message().contains(&"A".repeat(60)), "{what}");
        }
        client.model_infer(raw(&[1], &[&photo(0)])).await.unwrap();
    });
}

#[test]
fn messages_are_held_to_the_limits() {
    let server = Server::start(&["--max-body-mb", "1"]);
    let empty = vec![&b""[..]; 50_000];
    let spread =
        ModelInferRequest { raw_input_contents: vec![Bytes::new(); 50_000], ..request(vec![input(&[1])]) };
    let shape = ModelInferRequest { inputs: vec![input(&vec![1; 100_000])], ..raw(&[1], &[&photo(0)]) };
    run(async {
        let mut client = client(&server).await;
        for (what, request, code, words) in [
            ("empty photos", typed(&[50_000], &empty), Code::ResourceExhausted, "64 kB beside its photos"),
            ("empty entries", spread, Code::ResourceExhausted, "64 kB beside its photos"),
            ("a long shape", shape, Code::ResourceExhausted, "64 kB beside its photos"),
            (
                "empty photos in one entry",
                raw(&[50_000], &empty),
                Code::InvalidArgument,
                "more than 4096 photos",
            ),
            (
                "many photos",
                raw(&[4000], &empty[..4000]),
                Code::ResourceExhausted,
                "4000 photos in a request",
            ),
            (
                "a large photo",
                raw(&[1], &[&vec![7; 3 << 20]]),
                Code::ResourceExhausted,
                "larger than the 1 MB",
            ),
        ] {
            let refused = client.model_infer(request).await.unwrap_err();
            assert_eq!(refused.code(), code, "{what}: {}", refused.message());
            assert!(refused.message().contains(words), "{what}: {}", refused.message());
        }
        // All that it may be beside a message's other fields.
        let full = client.model_infer(typed(&[1], &[&vec![7; 1 << 20]])).await.unwrap_err();
        assert!(full.message().contains("cannot be used"), "{}", full.message());
        // A message about anything else has no photos.
        let long = ModelReadyRequest { name: "x".repeat(100_000), version: String::new() };
        assert_eq!(client.model_ready(long).await.unwrap_err().code(), Code::ResourceExhausted);
    });
}

/// A call with a message as it is: the answer, its code and its reason.
async fn call(
    server: &Server,
    path: &str,
    packed: Option<&str>,
    message: &[u8],
) -> (Vec<u8>, String, String) {
    let mut calls = connect(server).await;
    let request = Request::post(format!("{}{path}", server.grpc));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let request = packed.iter().fold(request, |request, packing| request.header("grpc-encoding", *packing));
    let (answer, mut stream) = calls.send_request(request.body(()).unwrap(), false).unwrap();
    let prefix = [&[u8::from(packed.is_some())][..], &(message.len() as u32).to_be_bytes(), message].concat();
    stream.send_data(prefix.into(), true).unwrap();
    let answer = answer.await.unwrap();
    let mut headers = answer.headers().clone();
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    if let Some(trailers) = body.trailers().await.unwrap() {
        headers.extend(trailers);
    }
    let text = |name: &str| headers.get(name).map_or("", |text| text.to_str().unwrap()).replace("%20", " ");
    (bytes, text("grpc-status"), text("grpc-message"))
}

#[test]
fn packed_messages_are_unpacked_within_the_limits() {
    let server = Server::start(&["--max-body-mb", "1"]);
    let caption = server.caption(&photo(1));
    let message = raw(&[1], &[&photo(1)]).encode_to_vec();
    let bomb = raw(&[1], &[&vec![0; 50 << 20]]).encode_to_vec();
    let many = typed(&[50_000], &vec![&b""[..]; 50_000]).encode_to_vec();
    run(async {
        for (packing, message) in [("gzip", gzip(&message)), ("deflate", zlib(&message))] {
            let (answer, status, text) = call(&server, INFER, Some(packing), &message).await;
            assert_eq!(status, "0", "{packing}: {text}");
            let answer = ModelInferResponse::decode(&answer[5..]).unwrap();
            assert_eq!(texts(&answer.raw_output_contents[0]), [caption.as_str()]);
        }
        for (message, says) in [
            (&gzip(&message)[..100], "cut short"),
            (&gzip(&bomb), "larger than the 1 MB allowed"),
            (&gzip(&many), "64 kB beside its photos"),
        ] {
            let (answer, status, text) = call(&server, INFER, Some("gzip"), message).await;
            assert!(answer.is_empty() && status != "0" && text.contains(says), "{status} {text}");
        }
    });
}

#[test]
fn bytes_that_are_no_message_are_refused_and_harm_nobody() {
    let server = Server::start(&["--max-body-mb", "1"]);
    let whole = typed(&[1], &[&photo(0)]).encode_to_vec();
    // A field of a length inside of a field of another: each says that it holds more than there is.
    let nested = |field: u8, depth: usize| {
        (0..depth)
            .rev()
            .flat_map(|level| [field << 3 | 2, 0xff, 0xff, (level % 128) as u8])
            .collect::<Vec<u8>>()
    };
    let deep = (0..5000).fold(vec![], |inner: Vec<u8>, _| {
        let mut outer = vec![5 << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    });
    run(async {
        for (what, message) in [
            ("half", &whole[..whole.len() / 2]),
            ("nested lengths", &nested(5, 1000)),
            ("raw lengths", &nested(7, 1000)),
            ("inputs in inputs", &deep),
            ("groups", &[5 << 3 | 3; 1000]),
            ("a number as input", &[5 << 3, 1]),
            ("a huge varint", &[0xff; 1000]),
            (
                "noise",
                &(0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>(),
            ),
        ] {
            let (answer, status, text) = call(&server, INFER, None, message).await;
            assert!(answer.is_empty() && !matches!(status.as_str(), "" | "0"), "{what}: {status} {text}");
            assert!(text.len() < 2000, "{what}: {text}");
        }
        // Fields that we do not know are passed over.
        let unknown = [&whole[..], &[99 << 3 & 0x7f | 0x80 | 2, 6, 2, 1, 1]].concat();
        let (_, status, text) = call(&server, INFER, None, &unknown).await;
        assert_eq!(status, "0", "{text}");
    });
    server.caption(&photo(0));
}

#[test]
fn calls_that_are_not_served_say_what_to_call() {
    let server = Server::start(&[]);
    run(async {
        for (name, says) in [
            ("ModelStreamInfer", "call GRPCInferenceService.ModelInfer"),
            ("RepositoryModelLoad", "taken up by itself"),
            ("RepositoryModelUnload", "taken up by itself"),
            ("CudaSharedMemoryRegister", "shares no memory"),
            ("SystemSharedMemoryStatus", "shares no memory"),
            ("TraceSetting", "there is no call"),
        ] {
            let path = format!("/inference.GRPCInferenceService/{name}");
            let (_, status, text) = call(&server, &path, None, b"").await;
            assert_eq!(status, (Code::Unimplemented as i32).to_string(), "{name}: {text}");
            assert!(text.contains(says), "{name}: {text}");
        }
    });
    let name = "serve_requests_total{route=\"GRPCInferenceService.TraceSetting\"";
    assert_eq!(server.metric(name), 0.0, "a client must not invent labels");
}

#[test]
fn whether_it_is_ready_is_told_without_the_token_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let server = Server::start(&["--token-file", token.to_str().unwrap()]);
    run(async {
        let mut client = client(&server).await;
        assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
        assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
        // What nobody reads ahead of is short.
        let long = vec![0; 1 << 20];
        let (answer, status, _) =
            call(&server, "/inference.GRPCInferenceService/ServerLive", None, &long).await;
        assert!(answer.is_empty() && status != "0", "{status}");
        let refused = client.model_infer(raw(&[1], &[&photo(0)])).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let refused = client.server_metadata(ServerMetadataRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let ask = ModelReadyRequest { name: "caption".to_owned(), version: String::new() };
        assert_eq!(client.model_ready(ask).await.unwrap_err().code(), Code::Unauthenticated);
        let mut request = tonic::Request::new(raw(&[1], &[&photo(0)]));
        request.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
        client.model_infer(request).await.unwrap();
    });
}
