//! libtorch's interpreter of a decoder's [`Description`].

use std::collections::BTreeMap;
use std::sync::Arc;

use model::decoder::description::{Description, Graph, Init, Layer, NORM_EPSILON, Node};
use model::search::{Step as Found, Stepper, Table};
use tch::nn;
use tch::{Kind, TchError, Tensor};

use super::layers::{self, dropout};
use super::parameters::{BuildError, Parameters};
use super::recurrent::Lstm;
use super::steps::Steps;
use super::{Rows, Step};
use crate::draws::Draws;
use crate::native;
use crate::precision::Precision;

/// A decoder with its parameters.
///
/// # Errors
///
/// Every method fails with what libtorch says: out of memory, or tensors of other shapes, such as a grid with the
/// channels of another backbone.
#[derive(Debug)]
pub struct Network {
    description: Arc<Description>,
    parameters: BTreeMap<String, Tensor>,
    precision: Precision,
}

#[allow(clippy::missing_errors_doc, reason = "said once for all methods")]
impl Network {
    /// The network with these parameters: those that are there, before any memory is taken for others, or fresh ones. The
    /// factors of its products are rounded to `precision`.
    pub fn new(
        description: Description,
        parameters: &Parameters,
        precision: Precision,
    ) -> Result<Network, BuildError> {
        let named = description.parameters.iter().map(|parameter| {
            let init = match parameter.init {
                Init::Uniform(bound) => nn::Init::Uniform { lo: -bound, up: bound },
                Init::Normal(stdev) => nn::Init::Randn { mean: 0.0, stdev },
                Init::Constant(value) => nn::Init::Const(value),
            };
            Ok((parameter.name.clone(), parameters.get(parameter, init)?))
        });
        let parameters = named.collect::<Result<_, BuildError>>()?;
        Ok(Network { description: Arc::new(description), parameters, precision })
    }

    /// Another handle on the same parameters, for another thread.
    pub fn share(&self) -> Network {
        let parameters = self.parameters.iter();
        let parameters = parameters.map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        Network {
            description: Arc::clone(&self.description),
            parameters: parameters.collect(),
            precision: self.precision,
        }
    }

    /// What it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The memory of images: from `grid [images, regions, channels]`, one row per image. Where there are draws,
    /// dropout is on.
    pub fn encode(&self, grid: &Tensor, draws: Option<&Draws>) -> Result<Rows, TchError> {
        self.run(&self.description.encode, &[grid], draws, None).map(Rows)
    }

    /// The state before the first word: one row for each row of `memory`.
    pub fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        let memory: Vec<&Tensor> = memory.0.iter().collect();
        self.run(&self.description.start, &memory, None, None).map(Rows)
    }

    /// Reads one word per row (`words [rows]`, first `<bos>`) and scores the next one.
    pub fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        let inputs: Vec<&Tensor> = memory.0.iter().chain(&state.0).chain([words]).collect();
        let mut outputs = self.run(&self.description.step, &inputs, None, None)?.into_iter();
        let logits = outputs.next().ok_or_else(|| missing("scores"))?;
        let state = Rows(outputs.by_ref().take(self.description.state()).collect());
        Ok(Step { logits, state, attention: outputs.next() })
    }

    /// The part `name` of a step, for whoever knows all words of a caption and runs it once.
    pub(super) fn part<const N: usize>(
        &self,
        name: &str,
        inputs: &[&Tensor],
        draws: Option<&Draws>,
    ) -> Result<[Tensor; N], TchError> {
        self.run(self.named(name)?, inputs, draws, None)?.try_into().map_err(|_| missing(name))
    }

    /// The part `name` as one of many `steps`; in none of these is dropout.
    pub(super) fn part_of_step<const N: usize>(
        &self,
        steps: &Steps,
        name: &str,
        inputs: &[&Tensor],
    ) -> Result<[Tensor; N], TchError> {
        self.run(self.named(name)?, inputs, None, Some(steps))?.try_into().map_err(|_| missing(name))
    }

    fn named(&self, part: &str) -> Result<&Graph, TchError> {
        let found = self.description.parts.iter().find(|(name, _)| name == part);
        found.map(|(_, graph)| graph).ok_or_else(|| missing(part))
    }

    /// The layer `x Wᵀ + b` of that name: `[…, inputs]` → `[…, outputs]`.
    pub(super) fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor, TchError> {
        self.affine(&format!("{name}.weight"), &format!("{name}.bias"), x, None)
    }

    fn affine(
        &self,
        weight: &str,
        bias: &str,
        x: &Tensor,
        steps: Option<&Steps>,
    ) -> Result<Tensor, TchError> {
        let (weight, bias) = (self.get(weight)?, self.get(bias)?);
        match steps {
            Some(steps) => steps.linear(x, weight, self.precision)?.f_add(bias),
            None => native::linear(x, weight, Some(bias), self.precision),
        }
    }

    /// The vectors of `words […]`: `[…, size]`.
    pub(super) fn embedding(&self, name: &str, words: &Tensor) -> Result<Tensor, TchError> {
        Tensor::f_embedding(self.get(&format!("{name}.weight"))?, words, -1, false, false)
    }

    /// The LSTM of that name.
    pub(super) fn lstm(&self, name: &str) -> Result<Lstm<'_>, TchError> {
        let weight = |part: &str| self.get(&format!("{name}.{part}"));
        let weights = [weight("weight_ih")?, weight("weight_hh")?, weight("bias_ih")?, weight("bias_hh")?];
        Ok(Lstm { weights, precision: self.precision })
    }

    fn get(&self, name: &str) -> Result<&Tensor, TchError> {
        self.parameters.get(name).ok_or_else(|| missing(name))
    }

    fn run(
        &self,
        graph: &Graph,
        inputs: &[&Tensor],
        draws: Option<&Draws>,
        steps: Option<&Steps>,
    ) -> Result<Vec<Tensor>, TchError> {
        let mut values: Vec<Tensor> = inputs.iter().map(|input| input.shallow_clone()).collect();
        if values.len() != graph.inputs {
            let counts = (graph.inputs, values.len());
            return Err(TchError::Shape(format!("the decoder reads {} tensors, not {}", counts.0, counts.1)));
        }
        for node in &graph.nodes {
            let inputs: Vec<&Tensor> = node.inputs.iter().map(|value| &values[value.0]).collect();
            let outputs = self.compute(node, &inputs, draws, steps)?;
            values.extend(outputs);
        }
        Ok(graph.outputs.iter().map(|value| values[value.0].shallow_clone()).collect())
    }

    fn compute(
        &self,
        Node { layer, .. }: &Node,
        inputs: &[&Tensor],
        draws: Option<&Draws>,
        steps: Option<&Steps>,
    ) -> Result<Vec<Tensor>, TchError> {
        let x = inputs.first().copied();
        let x = || x.ok_or_else(|| missing("an input"));
        let output = match (layer, inputs) {
            (Layer::Lstm(name), [input, hidden, cell]) => {
                let (hidden, cell) = self.lstm(name)?.step(input, hidden, cell)?;
                return Ok(vec![hidden, cell]);
            }
            (Layer::Attention { heads, query, output }, [x, keys, values, mask @ ..]) => {
                let query = layers::heads(&self.linear(query, x)?, *heads)?;
                let (found, attention) = layers::attend(&query, keys, values, mask.first().copied())?;
                return Ok(vec![self.linear(output, &found)?, attention]);
            }
            (Layer::Linear { weight, bias }, [x]) => self.affine(weight, bias, x, steps),
            (Layer::Embedding(name), [words]) => self.embedding(name, words),
            (Layer::LayerNorm(name), [x]) => {
                let (weight, bias) =
                    (self.get(&format!("{name}.weight"))?, self.get(&format!("{name}.bias"))?);
                x.f_layer_norm(weight.size(), Some(weight), Some(bias), NORM_EPSILON, true)
            }
            (Layer::Energies { query, energy }, [keys, hidden]) => {
                let query =
                    self.affine(&format!("{query}.weight"), &format!("{query}.bias"), hidden, steps)?;
                layers::energies(keys, &query, self.get(&format!("{energy}.weight"))?)
            }
            (Layer::Positions(size), [words, earlier @ ..]) => {
                let first = earlier.first().map_or(Ok(0), |keys| keys.size4().map(|size| size.2))?;
                layers::sinusoids(first, words.size2()?.1, *size, words.device())
            }
            (Layer::Parameter(name), []) => Ok(self.get(name)?.shallow_clone()),
            (Layer::Add, [a, b]) => a.f_add(b),
            (Layer::Multiply, [a, b]) => a.f_mul(b),
            (Layer::BatchedProduct, [a, b]) => match steps {
                Some(steps) => steps.batched_product(a, b),
                None => a.f_bmm(b),
            },
            (Layer::Concat(axis), several) => Tensor::f_cat(several, *axis),
            (Layer::PerImage, [x, images]) => {
                let (images, size) = (images.size(), x.size());
                let shape = [images.first(), Some(&-1), size.last()];
                x.f_view(shape.into_iter().flatten().copied().collect::<Vec<_>>().as_slice())
            }
            (Layer::Like, [x, like]) => {
                let mut shape = like.size();
                shape.pop();
                shape.extend(x.size().last());
                x.f_view(shape.as_slice())
            }
            (Layer::Zeros(shape), [like]) => {
                let rows = like.size().first().copied();
                let shape: Vec<i64> = rows.into_iter().chain(shape.iter().copied()).collect();
                Tensor::f_zeros(shape, (Kind::Float, like.device()))
            }
            (Layer::MeanProbability, several) => layers::mean_probability(several),
            (Layer::Average, several) => {
                Tensor::f_stack(several, 0)?.f_mean_dim([0i64].as_slice(), false, Kind::Float)
            }
            (Layer::Heads(heads), [x]) => layers::heads(x, *heads)?.f_contiguous(),
            (Layer::Dropout(share), [x]) => dropout(x, *share, draws),
            (Layer::Relu, _) => x()?.f_relu(),
            (Layer::Tanh, _) => x()?.f_tanh(),
            (Layer::Sigmoid, _) => x()?.f_sigmoid(),
            (Layer::Softmax, _) => x()?.f_softmax(-1, Kind::Float),
            (Layer::Largest, _) => layers::one_hot(x()?, &x()?.f_argmax(-1, true)?),
            (Layer::Scale(factor), _) => x()?.f_mul_scalar(*factor),
            (Layer::Mean(axis), _) => x()?.f_mean_dim([*axis].as_slice(), false, Kind::Float),
            (Layer::Unsqueeze(axis), _) => x()?.f_unsqueeze(*axis),
            (Layer::Squeeze(axis), _) => x()?.f_squeeze_dim(*axis),
            (Layer::Flatten, _) => x()?.f_flatten(0, 1),
            (layer, inputs) => {
                Err(TchError::Shape(format!("{layer:?} does not read {} tensors", inputs.len())))
            }
        };
        Ok(vec![output?])
    }
}

fn missing(what: &str) -> TchError {
    TchError::Shape(format!("the decoder has no {what}"))
}

impl Stepper for &Network {
    type Rows = Rows;
    type Error = TchError;

    fn rows(&self, rows: &Rows) -> usize {
        rows.0.first().and_then(|tensor| tensor.size().first().copied()).unwrap_or(0) as usize
    }

    fn select(&self, rows: &Rows, indices: &[usize]) -> Result<Rows, TchError> {
        rows.select(&self.ids(indices.iter().map(|&index| index as i64), rows)?)
    }

    fn start(&mut self, memory: &Rows) -> Result<Rows, TchError> {
        tch::no_grad(|| Network::start(self, memory))
    }

    fn step(&mut self, memory: &Rows, state: &Rows, words: &[u32]) -> Result<Found<Rows>, TchError> {
        let words = self.ids(words.iter().map(|&word| i64::from(word)), memory)?;
        let step = tch::no_grad(|| Network::step(self, memory, state, &words))?;
        let log_probabilities = table(&step.logits.f_log_softmax(-1, Kind::Float)?)?;
        let attention = step.attention.as_ref().map(table).transpose()?;
        Ok(Found { log_probabilities, state: step.state, attention })
    }
}

impl Network {
    /// Whole numbers where the rows are.
    fn ids(&self, ids: impl Iterator<Item = i64>, beside: &Rows) -> Result<Tensor, TchError> {
        let device = beside.0.first().map_or(tch::Device::Cpu, Tensor::device);
        Tensor::f_from_slice(&ids.collect::<Vec<_>>())?.f_to_device(device)
    }
}

/// The rows of a `[rows, size]` tensor.
fn table(tensor: &Tensor) -> Result<Table, TchError> {
    let (_, columns) = tensor.size2()?;
    let values = Vec::try_from(tensor.f_to_kind(Kind::Float)?.f_reshape([-1])?)?;
    Ok(Table { columns: columns as usize, values })
}
