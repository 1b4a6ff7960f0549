//! A Transformer that reads the regions through cross-attention and writes all words of a caption at once in training.
//!
//! Vaswani et al. 2017, "Attention Is All You Need" (<https://arxiv.org/abs/1706.03762>), with layer normalisation
//! before each block (Xiong et al. 2020) and word vectors that are also the output layer (Press and Wolf 2017). Regions
//! have learnt positions; encoder layers, which let them look at one another, are optional. In search, keys and values
//! of earlier words are kept, so that a step costs one step.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use super::layers::{dropout as dropped, embedding, linear};
use super::{Decoder, Dimensions, Forced, Rows, Step};

/// Sizes of the `transformer` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct TransformerConfig {
    /// Numbers a word or region, a multiple of twice `heads`.
    pub model_size: i64,
    /// Heads of each attention.
    pub heads: i64,
    /// Decoder layers.
    pub layers: i64,
    /// Encoder layers over the regions.
    pub encoder_layers: i64,
    /// Size of the hidden layer between attentions.
    pub feed_forward_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        TransformerConfig {
            model_size: 256,
            heads: 8,
            layers: 3,
            encoder_layers: 0,
            feed_forward_size: 1024,
            dropout: 0.2,
        }
    }
}

#[derive(Debug)]
pub(super) struct Transformer {
    feature: nn::Linear,
    region_positions: Tensor,
    encoder: Vec<Layer>,
    memory_norm: nn::LayerNorm,
    embedding: nn::Embedding,
    decoder: Vec<Layer>,
    norm: nn::LayerNorm,
    output_bias: Tensor,
    model_size: i64,
    heads: i64,
    dropout: f64,
}

/// Self-attention, cross-attention in decoder layers, and a feed-forward block, each behind a normalisation.
#[derive(Debug)]
struct Layer {
    own: Attention,
    cross: Option<Attention>,
    feed_forward_norm: nn::LayerNorm,
    wide: nn::Linear,
    narrow: nn::Linear,
}

#[derive(Debug)]
struct Attention {
    norm: nn::LayerNorm,
    query: nn::Linear,
    key: nn::Linear,
    value: nn::Linear,
    output: nn::Linear,
    heads: i64,
}

/// Keys and values, `[rows, heads, positions, size / heads]` each.
type KeysValues = (Tensor, Tensor);

impl Attention {
    fn new(path: nn::Path, size: i64, heads: i64) -> Self {
        let map = |name: &str| linear(&path / name, size, size);
        Attention {
            norm: nn::layer_norm(&path / "norm", vec![size], Default::default()),
            query: map("query"),
            key: map("key"),
            value: map("value"),
            output: map("output"),
            heads,
        }
    }

    /// `[rows, positions, size]` → `[rows, heads, positions, size / heads]`.
    fn split(&self, x: &Tensor) -> Tensor {
        let (rows, positions, size) = (x.size()[0], x.size()[1], x.size()[2]);
        x.view([rows, positions, self.heads, size / self.heads]).transpose(1, 2)
    }

    fn keys_values(&self, x: &Tensor) -> KeysValues {
        // Both are read at every step: rows of a head lie together.
        (self.split(&x.apply(&self.key)).contiguous(), self.split(&x.apply(&self.value)).contiguous())
    }

    /// What normalised `x [rows, positions, size]` finds, and the share of attention `[rows, heads, positions, keys]`.
    /// `mask` is added to the energies.
    fn look(&self, x: &Tensor, (keys, values): &KeysValues, mask: Option<&Tensor>) -> (Tensor, Tensor) {
        let query = self.split(&x.apply(&self.query)) / (keys.size()[3] as f64).sqrt();
        let energy = query.matmul(&keys.transpose(2, 3));
        let energy = mask.map_or(energy.shallow_clone(), |mask| &energy + mask);
        let attention = energy.softmax(-1, Kind::Float);
        let found = attention.matmul(values);
        let found = found.transpose(1, 2).flatten(2, 3).apply(&self.output);
        (found, attention)
    }
}

impl Layer {
    fn new(path: nn::Path, config: &TransformerConfig, cross: bool) -> Self {
        let TransformerConfig { model_size: size, heads, feed_forward_size, .. } = *config;
        Layer {
            own: Attention::new(&path / "self", size, heads),
            cross: cross.then(|| Attention::new(&path / "cross", size, heads)),
            feed_forward_norm: nn::layer_norm(&path / "feed_forward_norm", vec![size], Default::default()),
            wide: linear(&path / "wide", size, feed_forward_size),
            narrow: linear(&path / "narrow", feed_forward_size, size),
        }
    }

    /// Positions of `x [rows, positions, size]` look at those of `own`.
    fn look_at_selves(&self, x: &Tensor, own: &KeysValues, mask: Option<&Tensor>, dropout: f64) -> Tensor {
        let (found, _) = self.own.look(&x.apply(&self.own.norm), own, mask);
        x + dropped(&found, dropout, true)
    }

    /// All captions of an image look at its regions together: `x [images × captions, positions, size]`, `regions` a
    /// row an image. The attention is the mean of the heads, `[images × captions, positions, regions]`.
    fn look_at_regions(&self, x: Tensor, regions: &KeysValues, dropout: f64) -> (Tensor, Option<Tensor>) {
        let Some(cross) = &self.cross else { return (x, None) };
        let (rows, positions, size) = (x.size()[0], x.size()[1], x.size()[2]);
        let images = regions.0.size()[0];
        let query = x.apply(&cross.norm).view([images, -1, size]);
        let (found, attention) = cross.look(&query, regions, None);
        let found = dropped(&found.view([rows, positions, size]), dropout, true);
        let attention = attention.mean_dim([1i64].as_slice(), false, Kind::Float);
        (x + found, Some(attention.view([rows, positions, -1])))
    }

    fn feed_forward(&self, x: &Tensor, dropout: f64) -> Tensor {
        let wide = x.apply(&self.feed_forward_norm).apply(&self.wide).relu();
        x + dropped(&wide.apply(&self.narrow), dropout, true)
    }
}

impl Transformer {
    pub(super) fn new(path: &nn::Path, config: &TransformerConfig, dimensions: Dimensions) -> Self {
        let size = config.model_size;
        let layers = |name: &str, count: i64, cross: bool| -> Vec<Layer> {
            (0..count).map(|number| Layer::new(path / name / number, config, cross)).collect()
        };
        let stdev = 1.0 / (size as f64).sqrt();
        let positions = nn::Init::Randn { mean: 0.0, stdev };
        Transformer {
            feature: linear(path / "feature", dimensions.channels, size),
            region_positions: path.var("region_positions", &[dimensions.regions, size], positions),
            encoder: layers("encoder", config.encoder_layers, false),
            memory_norm: nn::layer_norm(path / "memory_norm", vec![size], Default::default()),
            embedding: embedding(path / "embedding", dimensions.vocabulary, size),
            decoder: layers("decoder", config.layers, true),
            norm: nn::layer_norm(path / "norm", vec![size], Default::default()),
            output_bias: path.zeros("output_bias", &[dimensions.vocabulary]),
            model_size: size,
            heads: config.heads,
            dropout: config.dropout,
        }
    }

    /// Word vectors with their positions, `first` being that of the first one: `[rows, positions, size]`.
    fn embed(&self, words: &Tensor, first: i64) -> Tensor {
        let positions = sinusoids(first, words.size()[1], self.model_size, words.device());
        words.apply(&self.embedding) * (self.model_size as f64).sqrt() + positions
    }

    /// Scores of the next word: `[…, size]` → `[…, vocabulary]`.
    fn score(&self, x: &Tensor) -> Tensor {
        x.apply(&self.norm).linear(&self.embedding.ws, Some(&self.output_bias))
    }
}

/// The sines and cosines of section 3.5 of the paper, sines in the first half: `[count, size]`.
fn sinusoids(first: i64, count: i64, size: i64, device: Device) -> Tensor {
    let half = size / 2;
    let options = (Kind::Float, device);
    let rate = (Tensor::arange(half, options) * (-(10_000f64.ln()) / half as f64)).exp();
    let angle = (Tensor::arange(count, options) + first as f64).unsqueeze(1) * rate;
    Tensor::cat(&[angle.sin(), angle.cos()], 1)
}

/// −∞ where a position would look at a later one: `[steps, steps]`.
fn causal_mask(steps: i64, device: Device) -> Tensor {
    Tensor::full([steps, steps], f64::NEG_INFINITY, (Kind::Float, device)).triu(1)
}

impl Decoder for Transformer {
    /// Keys and values of the regions for each decoder layer.
    fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        let dropout = if train { self.dropout } else { 0.0 };
        let regions = grid.apply(&self.feature).relu();
        let mut x = dropped(&(regions + &self.region_positions), dropout, train);
        for layer in &self.encoder {
            let own = layer.own.keys_values(&x.apply(&layer.own.norm));
            x = layer.feed_forward(&layer.look_at_selves(&x, &own, None, dropout), dropout);
        }
        let x = x.apply(&self.memory_norm);
        let cross = self.decoder.iter().filter_map(|layer| layer.cross.as_ref());
        Rows(cross.flat_map(|cross| <[Tensor; 2]>::from(cross.keys_values(&x))).collect())
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Forced {
        let dropout = if train { self.dropout } else { 0.0 };
        let words = words.flatten(0, 1);
        let mask = causal_mask(words.size()[1], words.device());
        let mut x = dropped(&self.embed(&words, 0), dropout, train);
        let mut attention = None;
        for (layer, regions) in self.decoder.iter().zip(pairs(memory)) {
            let own = layer.own.keys_values(&x.apply(&layer.own.norm));
            x = layer.look_at_selves(&x, &own, Some(&mask), dropout);
            (x, attention) = layer.look_at_regions(x, &regions, dropout);
            x = layer.feed_forward(&x, dropout);
        }
        Forced { logits: self.score(&x), attention, choices: None }
    }

    /// No keys and values yet, for each decoder layer.
    fn start(&self, memory: &Rows) -> Rows {
        let regions = &memory.0[0];
        let size = [regions.size()[0], self.heads, 0, self.model_size / self.heads];
        Rows(memory.0.iter().map(|_| Tensor::zeros(size, (Kind::Float, regions.device()))).collect())
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        let position = state.0[0].size()[2];
        let mut x = self.embed(&words.unsqueeze(1), position);
        let mut attention = None;
        let mut next = Vec::with_capacity(state.0.len());
        for ((layer, regions), earlier) in self.decoder.iter().zip(pairs(memory)).zip(pairs(state)) {
            let (key, value) = layer.own.keys_values(&x.apply(&layer.own.norm));
            let own = (Tensor::cat(&[earlier.0, key], 2), Tensor::cat(&[earlier.1, value], 2));
            x = layer.look_at_selves(&x, &own, None, 0.0);
            (x, attention) = layer.look_at_regions(x, &regions, 0.0);
            x = layer.feed_forward(&x, 0.0);
            next.extend(<[Tensor; 2]>::from(own));
        }
        let logits = self.score(&x).squeeze_dim(1);
        Step { logits, state: Rows(next), attention: attention.map(|attention| attention.squeeze_dim(1)) }
    }
}

/// Keys and values of each layer.
fn pairs(rows: &Rows) -> impl Iterator<Item = KeysValues> {
    rows.0.chunks_exact(2).map(|pair| (pair[0].shallow_clone(), pair[1].shallow_clone()))
}
