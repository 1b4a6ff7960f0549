//! What holds for every decoder.

use super::*;

#[test]
fn a_decoder_is_called_the_same_everywhere() {
    for config in DecoderConfig::every_small() {
        let name = config.kind().as_str();
        assert_eq!(serde_json::to_value(config.kind()).unwrap(), name);
        assert_eq!(serde_json::to_value(&config).unwrap()["kind"], name);
        let defaults = DecoderConfigs::default().get(config.kind());
        assert_eq!(defaults.kind(), config.kind());
        let mut sizes = serde_json::to_value(&defaults).unwrap();
        sizes.as_object_mut().unwrap().remove("kind");
        assert_eq!(serde_json::to_value(DecoderConfigs::default()).unwrap()[name], sizes);
    }
}

/// Every number of every decoder, and what it may not be.
#[test]
fn sizes_without_sense_are_refused_by_name() {
    for config in DecoderConfig::every_small() {
        assert_eq!(config.problem(), None, "{config:?}");
        assert_eq!(DecoderConfigs::default().get(config.kind()).problem(), None);
        let sizes = serde_json::to_value(&config).unwrap();
        for (key, value) in sizes.as_object().unwrap().iter().filter(|(_, value)| value.is_number()) {
            let wrong = if value.is_i64() { serde_json::json!(-1) } else { serde_json::json!(-0.1) };
            let mut sizes = sizes.clone();
            sizes[key] = wrong;
            let config: DecoderConfig = serde_json::from_value(sizes).unwrap();
            assert_eq!(
                config.problem().map(|problem| problem.key).as_deref(),
                Some(key.as_str()),
                "{config:?}"
            );
        }
    }
    let uneven = TransformerConfig { model_size: 18, heads: 2, ..Architecture::small() };
    let configs = DecoderConfigs { transformer: uneven, ..Default::default() };
    let problem = configs.problem().unwrap().to_string();
    assert_eq!(problem, "transformer.model_size must be a multiple of twice the heads, of 4");
}

#[test]
fn sizes_are_compared_and_what_shapes_the_training_alone_is_not() {
    for config in DecoderConfig::every_small() {
        assert_eq!(config.differing_size(&config), None);
        let sizes = serde_json::to_value(&config).unwrap();
        for (key, value) in sizes.as_object().unwrap().iter().filter(|(_, value)| value.is_number()) {
            let mut other = sizes.clone();
            let size = value.as_i64();
            other[key] = size.map_or(serde_json::json!(0.25), |size| (size + 1).into());
            let other: DecoderConfig = serde_json::from_value(other).unwrap();
            let wanted = size.map(|size| (key.clone(), size, size + 1));
            assert_eq!(config.differing_size(&other), wanted, "{key}");
        }
    }
}
