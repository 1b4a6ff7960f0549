//! A Transformer that reads the regions through cross-attention and writes all words of a caption at once in training.
//!
//! Vaswani et al. 2017, "Attention Is All You Need" (<https://arxiv.org/abs/1706.03762>), with layer normalisation
//! before each block (Xiong et al. 2020) and word vectors that are also the output layer (Press and Wolf 2017). Regions
//! have learnt positions; encoder layers, which let them look at one another, are optional. In search, keys and values
//! of earlier words are kept, so that a step costs one step.

use serde::{Deserialize, Serialize};
use tch::nn::Init;
use tch::{Device, Kind, TchError, Tensor};

use super::layers::{Embedding, LayerNorm, Linear, dropout as dropped};
use super::parameters::{BuildError, Parameters};
use super::table::{Architecture, size};
use super::{Decoder, Dimensions, Forced, Rows, Step};
use crate::precision::Precision;
use crate::problem::{Problem, first, share, unless, within};

/// Sizes of the `transformer` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct TransformerConfig {
    /// Numbers per word or region, a multiple of twice `heads`.
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

impl Architecture for TransformerConfig {
    fn problem(&self) -> Option<Problem> {
        let heads = first([size("model_size", self.model_size), size("heads", self.heads)]);
        heads.or_else(|| {
            let halves = 2 * self.heads;
            let reason = format!("must be a multiple of twice the heads, of {halves}");
            first([
                unless(self.model_size % halves == 0, "model_size", reason),
                within(1..=1000, "layers", self.layers),
                within(0..=1000, "encoder_layers", self.encoder_layers),
                size("feed_forward_size", self.feed_forward_size),
                share("dropout", self.dropout),
            ])
        })
    }

    fn build(
        &self,
        parameters: &Parameters,
        dimensions: Dimensions,
        _: Precision,
    ) -> Result<Box<dyn Decoder>, BuildError> {
        Ok(Box::new(Transformer::new(parameters, self, dimensions)?))
    }

    #[cfg(test)]
    fn small() -> Self {
        TransformerConfig {
            model_size: 16,
            heads: 2,
            layers: 2,
            encoder_layers: 1,
            feed_forward_size: 24,
            dropout: 0.1,
        }
    }
}

#[derive(Debug)]
struct Transformer {
    feature: Linear,
    region_positions: Tensor,
    encoder: Vec<Layer>,
    memory_norm: LayerNorm,
    embedding: Embedding,
    decoder: Vec<Layer>,
    norm: LayerNorm,
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
    feed_forward_norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

#[derive(Debug)]
struct Attention {
    norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: i64,
}

/// Keys and values, `[rows, heads, positions, size / heads]` each.
type KeysValues = (Tensor, Tensor);

impl Attention {
    fn new(parameters: Parameters, size: i64, heads: i64) -> Result<Self, BuildError> {
        let map = |name: &str| Linear::new(&parameters / name, size, size);
        Ok(Attention {
            norm: LayerNorm::new(&parameters / "norm", size)?,
            query: map("query")?,
            key: map("key")?,
            value: map("value")?,
            output: map("output")?,
            heads,
        })
    }

    /// `[rows, positions, size]` → `[rows, heads, positions, size / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (rows, positions, size) = x.size3()?;
        x.f_view([rows, positions, self.heads, size / self.heads])?.f_transpose(1, 2)
    }

    fn keys_values(&self, x: &Tensor) -> Result<KeysValues, TchError> {
        // Both are read at every step: rows of a head lie together.
        let of = |layer: &Linear| self.split(&layer.forward(x)?)?.f_contiguous();
        Ok((of(&self.key)?, of(&self.value)?))
    }

    /// What positions of this layer see of themselves: of `x [rows, positions, size]`, normalised first.
    fn own(&self, x: &Tensor) -> Result<KeysValues, TchError> {
        self.keys_values(&self.norm.forward(x)?)
    }

    /// What normalised `x [rows, positions, size]` finds, and the share of attention `[rows, heads, positions, keys]`.
    /// `mask` is added to the energies.
    fn look(
        &self,
        x: &Tensor,
        (keys, values): &KeysValues,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor), TchError> {
        let (_, _, _, size) = keys.size4()?;
        let query = self.split(&self.query.forward(x)?)?.f_div_scalar((size as f64).sqrt())?;
        let energy = query.f_matmul(&keys.f_transpose(2, 3)?)?;
        let energy = mask.map_or(Ok(energy.shallow_clone()), |mask| energy.f_add(mask))?;
        let attention = energy.f_softmax(-1, Kind::Float)?;
        let found = attention.f_matmul(values)?.f_transpose(1, 2)?.f_flatten(2, 3)?;
        Ok((self.output.forward(&found)?, attention))
    }
}

impl Layer {
    fn new(parameters: Parameters, config: &TransformerConfig, cross: bool) -> Result<Self, BuildError> {
        let TransformerConfig { model_size: size, heads, feed_forward_size, .. } = *config;
        Ok(Layer {
            own: Attention::new(&parameters / "self", size, heads)?,
            cross: cross.then(|| Attention::new(&parameters / "cross", size, heads)).transpose()?,
            feed_forward_norm: LayerNorm::new(&parameters / "feed_forward_norm", size)?,
            wide: Linear::new(&parameters / "wide", size, feed_forward_size)?,
            narrow: Linear::new(&parameters / "narrow", feed_forward_size, size)?,
        })
    }

    /// Positions of `x [rows, positions, size]` look at those of `own`.
    fn look_at_selves(
        &self,
        x: &Tensor,
        own: &KeysValues,
        mask: Option<&Tensor>,
        dropout: f64,
    ) -> Result<Tensor, TchError> {
        let (found, _) = self.own.look(&self.own.norm.forward(x)?, own, mask)?;
        x.f_add(&dropped(&found, dropout, true)?)
    }

    /// All captions of an image look at its regions together: `x [images × captions, positions, size]`, `regions` a
    /// row per image. The attention is the mean of the heads, `[images × captions, positions, regions]`.
    fn look_at_regions(
        &self,
        x: Tensor,
        regions: &KeysValues,
        dropout: f64,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let Some(cross) = &self.cross else { return Ok((x, None)) };
        let (rows, positions, size) = x.size3()?;
        let (images, ..) = regions.0.size4()?;
        let query = cross.norm.forward(&x)?.f_view([images, -1, size])?;
        let (found, attention) = cross.look(&query, regions, None)?;
        let found = dropped(&found.f_view([rows, positions, size])?, dropout, true)?;
        let attention = attention.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
        Ok((x.f_add(&found)?, Some(attention.f_view([rows, positions, -1])?)))
    }

    fn feed_forward(&self, x: &Tensor, dropout: f64) -> Result<Tensor, TchError> {
        let wide = self.wide.forward(&self.feed_forward_norm.forward(x)?)?.f_relu()?;
        x.f_add(&dropped(&self.narrow.forward(&wide)?, dropout, true)?)
    }
}

impl Transformer {
    fn new(
        parameters: &Parameters,
        config: &TransformerConfig,
        dimensions: Dimensions,
    ) -> Result<Self, BuildError> {
        let size = config.model_size;
        let layers = |name: &str, count: i64, cross: bool| -> Result<Vec<Layer>, BuildError> {
            (0..count).map(|number| Layer::new(parameters / name / number, config, cross)).collect()
        };
        let stdev = 1.0 / (size as f64).sqrt();
        let positions = Init::Randn { mean: 0.0, stdev };
        let of_words = parameters.by_word();
        Ok(Transformer {
            feature: Linear::new(parameters / "feature", dimensions.channels, size)?,
            region_positions: parameters.get("region_positions", &[dimensions.regions, size], positions)?,
            encoder: layers("encoder", config.encoder_layers, false)?,
            memory_norm: LayerNorm::new(parameters / "memory_norm", size)?,
            embedding: Embedding::new(parameters / "embedding", dimensions.vocabulary, size)?,
            decoder: layers("decoder", config.layers, true)?,
            norm: LayerNorm::new(parameters / "norm", size)?,
            output_bias: of_words.get("output_bias", &[dimensions.vocabulary], Init::Const(0.0))?,
            model_size: size,
            heads: config.heads,
            dropout: config.dropout,
        })
    }

    /// Word vectors with their positions, `first` being that of the first one: `[rows, positions, size]`.
    fn embed(&self, words: &Tensor, first: i64) -> Result<Tensor, TchError> {
        let (_, count) = words.size2()?;
        let positions = sinusoids(first, count, self.model_size, words.device())?;
        let vectors = self.embedding.forward(words)?.f_mul_scalar((self.model_size as f64).sqrt())?;
        vectors.f_add(&positions)
    }

    /// Scores of the next word: `[…, size]` → `[…, vocabulary]`.
    fn score(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.norm.forward(x)?.f_linear(&self.embedding.weight, Some(&self.output_bias))
    }
}

/// The sines and cosines of section 3.5 of the paper, sines in the first half: `[count, size]`.
fn sinusoids(first: i64, count: i64, size: i64, device: Device) -> Result<Tensor, TchError> {
    let half = size / 2;
    let options = (Kind::Float, device);
    let rate = Tensor::f_arange(half, options)?.f_mul_scalar(-(10_000f64.ln()) / half as f64)?.f_exp()?;
    let positions = Tensor::f_arange(count, options)?.f_add_scalar(first as f64)?;
    let angle = positions.f_unsqueeze(1)?.f_mul(&rate)?;
    Tensor::f_cat(&[angle.f_sin()?, angle.f_cos()?], 1)
}

/// −∞ where a position would look at a later one: `[steps, steps]`.
fn causal_mask(steps: i64, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_full([steps, steps], f64::NEG_INFINITY, (Kind::Float, device))?.f_triu(1)
}

impl Decoder for Transformer {
    /// Keys and values of the regions for each decoder layer.
    fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError> {
        let dropout = if train { self.dropout } else { 0.0 };
        let regions = self.feature.forward(grid)?.f_relu()?;
        let mut x = dropped(&regions.f_add(&self.region_positions)?, dropout, train)?;
        for layer in &self.encoder {
            let own = layer.own.own(&x)?;
            x = layer.feed_forward(&layer.look_at_selves(&x, &own, None, dropout)?, dropout)?;
        }
        let x = self.memory_norm.forward(&x)?;
        let mut memory = Vec::with_capacity(2 * self.decoder.len());
        for cross in self.decoder.iter().filter_map(|layer| layer.cross.as_ref()) {
            memory.extend(<[Tensor; 2]>::from(cross.keys_values(&x)?));
        }
        Ok(Rows(memory))
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Result<Forced, TchError> {
        let dropout = if train { self.dropout } else { 0.0 };
        let (_, _, steps) = words.size3()?;
        let words = words.f_flatten(0, 1)?;
        let mask = causal_mask(steps, words.device())?;
        let mut x = dropped(&self.embed(&words, 0)?, dropout, train)?;
        let mut attention = None;
        for (layer, regions) in self.decoder.iter().zip(pairs(memory)) {
            let own = layer.own.own(&x)?;
            x = layer.look_at_selves(&x, &own, Some(&mask), dropout)?;
            (x, attention) = layer.look_at_regions(x, &regions, dropout)?;
            x = layer.feed_forward(&x, dropout)?;
        }
        Ok(Forced { logits: self.score(&x)?, attention, choices: None })
    }

    /// No keys and values yet, for each decoder layer.
    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        let regions = &memory.0[0];
        let size = [regions.size4()?.0, self.heads, 0, self.model_size / self.heads];
        let none = |_| Tensor::f_zeros(size, (Kind::Float, regions.device()));
        memory.0.iter().map(none).collect::<Result<_, _>>().map(Rows)
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        let (_, _, position, _) = state.0[0].size4()?;
        let mut x = self.embed(&words.f_unsqueeze(1)?, position)?;
        let mut attention = None;
        let mut next = Vec::with_capacity(state.0.len());
        for ((layer, regions), earlier) in self.decoder.iter().zip(pairs(memory)).zip(pairs(state)) {
            let (key, value) = layer.own.own(&x)?;
            let own = (Tensor::f_cat(&[earlier.0, key], 2)?, Tensor::f_cat(&[earlier.1, value], 2)?);
            x = layer.look_at_selves(&x, &own, None, 0.0)?;
            (x, attention) = layer.look_at_regions(x, &regions, 0.0)?;
            x = layer.feed_forward(&x, 0.0)?;
            next.extend(<[Tensor; 2]>::from(own));
        }
        let logits = self.score(&x)?.f_squeeze_dim(1)?;
        let attention = attention.map(|attention| attention.f_squeeze_dim(1)).transpose()?;
        Ok(Step { logits, state: Rows(next), attention })
    }
}

/// Keys and values of each layer.
fn pairs(rows: &Rows) -> impl Iterator<Item = KeysValues> {
    rows.0.chunks_exact(2).map(|pair| (pair[0].shallow_clone(), pair[1].shallow_clone()))
}
