//! Which decoder of a file is gone on from, and what is refused.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::collections::BTreeMap;
use std::path::Path;

use artifacts::features::FeatureSpec;
use artifacts::tensor_file::CAPTIONER_KEY;
use artifacts::vocabulary::Vocabulary;
use model::checkpoint::Header;
use model::decoder::{DecoderConfig, LstmConfig, SoftAttentionConfig, TransformerConfig};
use model::search::SearchSettings;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use torch::precision::Precision;
use torch::pretrained::{Pretrained, PretrainedError};
use torch::weights::write_safetensors;
use torch::{checkpoint, decoder};

fn soft_attention() -> SoftAttentionConfig {
    SoftAttentionConfig {
        embedding_size: 4,
        feature_size: 4,
        hidden_size: 4,
        attention_size: 4,
        ..Default::default()
    }
}

fn transformer() -> DecoderConfig {
    let config =
        TransformerConfig { model_size: 8, heads: 2, layers: 1, feed_forward_size: 8, ..Default::default() };
    DecoderConfig::Transformer(config)
}

fn header(decoder: DecoderConfig, words: &[&str]) -> Header {
    let features = FeatureSpec {
        backbone: "tiny".to_owned(),
        view: "squash".parse().unwrap(),
        weights: Default::default(),
        weights_sha256: String::new(),
        onnx: None,
        transform: Value::Null,
        grid: [2, 2],
        channels: 3,
    };
    let vocabulary = Vocabulary::new(words.iter().map(|&word| word.to_owned())).unwrap();
    Header { decoder, vocabulary, features: vec![features], provenance: Value::Null }
}

fn parameters(header: &Header) -> VarStore {
    let store = VarStore::new(Device::Cpu);
    decoder::build(&header.decoder, &store.root(), header.dimensions(), Precision::F32).unwrap();
    store
}

/// A checkpoint of `soft_attention`.
fn checkpoint(path: &Path) -> VarStore {
    let header = header(DecoderConfig::SoftAttention(soft_attention()), &["dog", "cat"]);
    let store = parameters(&header);
    checkpoint::save(path, &header, &store).unwrap();
    store
}

/// A captioner in halves, of a transformer and of `soft_attention`, and the parameters of the latter.
fn captioner(path: &Path) -> BTreeMap<String, Tensor> {
    let headers = [transformer(), DecoderConfig::SoftAttention(soft_attention())]
        .map(|decoder| header(decoder, &["dog", "cat"]));
    let stores = headers.each_ref().map(parameters);
    let halves = stores.iter().enumerate().flat_map(|(number, store)| {
        let named = store.variables().into_iter();
        named.map(move |(name, tensor)| (format!("decoders.{number}.{name}"), tensor.to_kind(Kind::Half)))
    });
    let decoders = headers.each_ref().map(
        |header| json!({ "name": "a", "checkpoint": "b", "decoder": header.decoder, "provenance": null }),
    );
    let entry = json!({
        "format": 1, "name": "both", "decoders": decoders, "vocabulary": headers[0].vocabulary,
        "features": headers[0].features, "search": SearchSettings::default(), "scores": null,
    });
    let entries = BTreeMap::from([(CAPTIONER_KEY.to_owned(), entry.to_string())]);
    write_safetensors(path, &halves.collect(), &entries).unwrap();
    stores[1].variables().into_iter().collect()
}

#[test]
fn the_decoder_of_the_kind_is_taken_out_of_either_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let wanted = header(DecoderConfig::SoftAttention(soft_attention()), &["cat", "mouse", "dog"]);
    let found = || {
        let store = VarStore::new(Device::Cpu);
        let file = Pretrained::read(&path).unwrap();
        let decoder = file.decoder(&wanted.decoder).unwrap();
        let (_, words) = decoder.build(&store, &wanted, Precision::F32).unwrap();
        assert_eq!(words, 2);
        (file.hash().to_owned(), store.variables())
    };
    let learnt = checkpoint(&path).variables();
    let (hash, of_checkpoint) = found();
    assert_eq!(of_checkpoint["lstm.weight_hh"], learnt["lstm.weight_hh"]);
    assert_eq!(of_checkpoint["embedding.weight"].get(4), learnt["embedding.weight"].get(5), "cat");
    assert_eq!(of_checkpoint["output.bias"].get(6), learnt["output.bias"].get(4), "dog");
    assert_eq!(hash, artifacts::recipe::digest_file(&path).unwrap());

    let learnt = captioner(&path);
    let (other, of_captioner) = found();
    let half = |name: &str| learnt[name].to_kind(Kind::Half).to_kind(Kind::Float);
    assert_eq!(of_captioner["lstm.weight_hh"], half("lstm.weight_hh"));
    assert_eq!(of_captioner["output.weight"].get(4), half("output.weight").get(5), "cat");
    assert_eq!(of_captioner["output.weight"].kind(), Kind::Float);
    assert_ne!(hash, other);
}

#[test]
fn what_does_not_fit_is_refused_with_both_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    captioner(&path);
    let file = Pretrained::read(&path).unwrap();
    let refused = |decoder: DecoderConfig, change: fn(&mut Header)| {
        let mut header = header(decoder, &["dog"]);
        change(&mut header);
        let store = VarStore::new(Device::Cpu);
        let built =
            file.decoder(&header.decoder).and_then(|found| found.build(&store, &header, Precision::F32));
        built.map(|_| ()).map_err(|error: PretrainedError| error.to_string())
    };
    let soft = |config: SoftAttentionConfig| DecoderConfig::SoftAttention(config);
    assert_eq!(refused(soft(soft_attention()), |_| ()), Ok(()));
    let other_training = SoftAttentionConfig { dropout: 0.1, attention_penalty: 0.0, ..soft_attention() };
    assert_eq!(refused(soft(other_training), |_| ()), Ok(()));

    let kind = refused(DecoderConfig::Lstm(LstmConfig::default()), |_| ()).unwrap_err();
    assert!(kind.ends_with("model.safetensors holds no lstm, only transformer, soft_attention"), "{kind}");
    let size = refused(soft(SoftAttentionConfig { hidden_size: 6, ..soft_attention() }), |_| ()).unwrap_err();
    assert!(
        size.ends_with("its soft_attention has hidden_size = 4, not 6: set soft_attention.hidden_size to 4"),
        "{size}"
    );
    let channels = refused(soft(soft_attention()), |header| header.features[0].channels = 5).unwrap_err();
    assert!(
        channels.contains("reads 3 channels of tiny.squash, not 5 channels of tiny.squash"),
        "{channels}"
    );
    // Only a transformer has parameters for each region.
    let regions: fn(&mut Header) = |header| header.features[0].grid = [3, 3];
    assert_eq!(refused(soft(soft_attention()), regions), Ok(()));
    let regions = refused(transformer(), regions).unwrap_err();
    assert!(
        regions.contains("its transformer reads 4 regions of tiny.squash, not 9 regions of tiny.squash"),
        "{regions}"
    );
}

#[test]
fn what_holds_no_decoder_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let refused = || Pretrained::read(&path).err().unwrap().to_string();
    assert!(refused().contains("model.safetensors: No such file"), "{}", refused());
    let tensors = BTreeMap::from([("w".to_owned(), Tensor::ones([1], (Kind::Float, Device::Cpu)))]);
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    assert!(refused().contains("model.safetensors is no checkpoint of this program"), "{}", refused());
    checkpoint(&path);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused().contains("model.safetensors is not a usable weight file"), "{}", refused());
}
