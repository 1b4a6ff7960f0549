//! A backbone as data: which layers in which order, with which names and shapes.
//!
//! Nothing here computes. Interpreters walk it: libtorch's for features and for gradients, and the builder of ONNX graphs.

/// A network without its classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Before the first block.
    pub stem: Vec<Layer>,
    /// What repeats, counted from 0 in their order: residual blocks, inverted bottlenecks.
    pub blocks: Vec<Vec<Layer>>,
    /// After the last block.
    pub head: Vec<Layer>,
    /// Added to the variance by every batch normalisation.
    pub epsilon: f64,
}

/// A step from one `[batch, channels, height, width]` to another.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A convolution with what belongs to it.
    Conv(Conv),
    /// A function of each number.
    Activate(Activation),
    /// The largest of each window of `kernel` × `kernel`, with half of that around the input.
    MaxPool {
        /// Side of the window.
        kernel: i64,
        /// Step from one window to the next.
        stride: i64,
    },
    /// The mean of each channel: `[batch, channels, 1, 1]`.
    MeanPool,
    /// `branch(x) + shortcut(x)`; without layers the shortcut is x.
    Add {
        /// The way with the convolutions.
        branch: Vec<Layer>,
        /// The way around them.
        shortcut: Vec<Layer>,
    },
    /// `x · gate(x)`, the gate `[batch, channels, 1, 1]` (squeeze-and-excitation, Hu et al. 2017, arXiv:1709.01507).
    Gate(Vec<Layer>),
}

/// A function of each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x · sigmoid(x)
    Silu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
}

/// The convolution `<name>.weight`, and what is added to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Of its tensors, without `.weight`.
    pub name: String,
    /// What follows it.
    pub after: After,
    /// Its shape.
    pub geometry: Geometry,
}

/// What follows a convolution.
#[derive(Clone, Debug, PartialEq)]
pub enum After {
    /// The batch normalisation `<name>.weight`, `.bias`, `.running_mean`, `.running_var`, each `[outputs]`.
    Norm(String),
    /// Its own `.bias`, `[outputs]`.
    Bias,
}

/// The whole geometry of a square convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Channels of the input.
    pub inputs: i64,
    /// Channels of the output.
    pub outputs: i64,
    /// Side of the window.
    pub kernel: i64,
    /// Step from one window to the next.
    pub stride: i64,
    /// Groups of channels that see nothing of each other.
    pub groups: i64,
    /// Zeros around the input.
    pub padding: Padding,
}

/// How zeros are put around the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// `kernel / 2` on every side: PyTorch's way.
    Half,
    /// As much as gives `ceil(input / stride)` outputs, the odd one at the bottom and right: TensorFlow's "SAME".
    Same,
}

impl Conv {
    /// A convolution with the batch normalisation `norm`.
    pub fn normed(name: impl Into<String>, norm: impl Into<String>, geometry: Geometry) -> Layer {
        Layer::Conv(Conv { name: name.into(), after: After::Norm(norm.into()), geometry })
    }

    /// A convolution with its own bias.
    pub fn biased(name: impl Into<String>, geometry: Geometry) -> Layer {
        Layer::Conv(Conv { name: name.into(), after: After::Bias, geometry })
    }

    /// Name of the weight.
    pub fn weight_name(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Shape of the weight: `[outputs, inputs / groups, kernel, kernel]`.
    pub fn weight_shape(&self) -> [i64; 4] {
        let Geometry { inputs, outputs, kernel, groups, .. } = self.geometry;
        [outputs, inputs / groups, kernel, kernel]
    }

    /// Names and shapes of its tensors: weight and bias; or weight and the normalisation's scale γ, shift β, mean μ and
    /// variance σ².
    pub fn tensors(&self) -> Vec<(String, Vec<i64>)> {
        let outputs = self.geometry.outputs;
        let weight = (self.weight_name(), self.weight_shape().to_vec());
        let added = match &self.after {
            After::Bias => vec![format!("{}.bias", self.name)],
            After::Norm(norm) => ["weight", "bias", "running_mean", "running_var"]
                .map(|part| format!("{norm}.{part}"))
                .to_vec(),
        };
        [weight].into_iter().chain(added.into_iter().map(|name| (name, vec![outputs]))).collect()
    }

    /// How many of its [`tensors`](Self::tensors), from the first on, learn: mean and variance do not.
    pub fn learn(&self) -> usize {
        match self.after {
            After::Bias => 2,
            After::Norm(_) => 3,
        }
    }
}

impl Description {
    /// The stem and the blocks before `block`; nothing before block 0, with which the stem goes.
    pub fn layers_before(&self, block: usize) -> impl Iterator<Item = &Layer> {
        let stem = self.stem.iter().take(if block == 0 { 0 } else { usize::MAX });
        stem.chain(self.blocks.iter().take(block).flatten())
    }

    /// The blocks from `block` on and the head; from block 0 on the stem too.
    pub fn layers_from(&self, block: usize) -> impl Iterator<Item = &Layer> {
        let stem = self.stem.iter().take(if block == 0 { usize::MAX } else { 0 });
        stem.chain(self.blocks.iter().skip(block).flatten()).chain(&self.head)
    }

    /// Every convolution of [`layers_before`](Self::layers_before).
    pub fn convs_before(&self, block: usize) -> Vec<&Conv> {
        convs(self.layers_before(block))
    }

    /// Every convolution of [`layers_from`](Self::layers_from).
    pub fn convs_from(&self, block: usize) -> Vec<&Conv> {
        convs(self.layers_from(block))
    }
}

fn convs<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Vec<&'a Conv> {
    let inside = |layer: &'a Layer| match layer {
        Layer::Conv(conv) => vec![conv],
        Layer::Add { branch, shortcut } => convs(branch.iter().chain(shortcut)),
        Layer::Gate(gate) => convs(gate),
        Layer::Activate(_) | Layer::MaxPool { .. } | Layer::MeanPool => vec![],
    };
    layers.into_iter().flat_map(inside).collect()
}
