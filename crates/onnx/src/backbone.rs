//! A backbone as an ONNX graph: the other interpreter of its description.

use model::backbone::description::{Activation, Conv, Geometry, Layer, Padding};
use model::backbone::{BackboneSpec, Kernel};
use model::weights::{NamedArrays, WeightsError};

use crate::graph::{Graph, Name, Size, Told};

/// What the graph is given.
pub(crate) const IMAGES: &str = "images";
/// What it gives.
pub(crate) const GRID: &str = "grid";
/// How many images there are.
const BATCH: Size = Size::Free("batch");

/// The ONNX file of a backbone for images of one size: normalised images `images [batch, 3, side, side]` →
/// `grid [batch, regions, channels]`, regions row by row from the top left.
///
/// # Errors
///
/// A tensor that is missing or of another shape, by its name; numbers that are not finite.
pub fn backbone(spec: &BackboneSpec, weights: &NamedArrays, side: u32) -> Result<Vec<u8>, WeightsError> {
    let mut graph = Graph::default();
    images(&mut graph, IMAGES, side);
    let (grid, regions) = grid(&mut graph, spec, weights, IMAGES, side)?;
    let channels = i64::from(spec.channels);
    graph.output(GRID, &grid, &[BATCH, Size::Fixed(regions), Size::Fixed(channels)]);
    Ok(graph.finish(spec.name))
}

/// An input of normalised images, `[batch, 3, side, side]`.
pub(crate) fn images(graph: &mut Graph, name: &str, side: u32) {
    let square = Size::Fixed(side.into());
    graph.input(name, &[BATCH, Size::Fixed(3), square, square]);
}

/// Adds what makes the grid `[batch, regions, channels]` of an input of images, and says how many regions it has.
pub(crate) fn grid(
    graph: &mut Graph,
    spec: &BackboneSpec,
    weights: &NamedArrays,
    images: &str,
    side: u32,
) -> Result<(Name, i64), WeightsError> {
    let description = (spec.describe)(weights);
    let numbers =
        description.convs_from(0).into_iter().map(|conv| conv.weight_shape().iter().product::<i64>());
    graph.reserve(numbers.sum::<i64>() as usize);
    let start = Grid { name: images.to_owned(), side: side.into() };
    let mut walk = Walk { graph, weights, epsilon: description.epsilon };
    let grid = walk.layers(description.layers_from(0), start)?;
    let regions = grid.side * grid.side;
    let last = graph.add("Transpose", &[&grid.name], &[Told::Ints("perm", &[0, 2, 3, 1])]);
    let shape = graph.ints(&[0, regions, spec.channels.into()]);
    Ok((graph.add("Reshape", &[&last, &shape], &[]), regions))
}

/// A value `[batch, channels, side, side]`.
struct Grid {
    name: Name,
    side: i64,
}

struct Walk<'a> {
    graph: &'a mut Graph,
    weights: &'a NamedArrays,
    epsilon: f64,
}

impl Walk<'_> {
    fn layers<'a>(
        &mut self,
        layers: impl IntoIterator<Item = &'a Layer>,
        input: Grid,
    ) -> Result<Grid, WeightsError> {
        layers.into_iter().try_fold(input, |grid, layer| self.layer(layer, grid))
    }

    fn layer(&mut self, layer: &Layer, Grid { name, side }: Grid) -> Result<Grid, WeightsError> {
        Ok(match layer {
            Layer::Conv(conv) => self.convolve(conv, Grid { name, side })?,
            Layer::Activate(activation) => Grid { name: self.activate(*activation, name), side },
            &Layer::MaxPool { kernel, stride } => {
                let told = geometry(kernel, stride, [kernel / 2; 2]);
                let told = [
                    Told::Ints("kernel_shape", &told[0]),
                    Told::Ints("strides", &told[1]),
                    Told::Ints("pads", &told[2]),
                ];
                let side = (side + kernel / 2 * 2 - kernel) / stride + 1;
                Grid { name: self.graph.add("MaxPool", &[&name], &told), side }
            }
            Layer::MeanPool => Grid { name: self.graph.add("GlobalAveragePool", &[&name], &[]), side: 1 },
            Layer::Add { branch, shortcut } => {
                let around = self.layers(shortcut, Grid { name: name.clone(), side })?;
                let Grid { name, side } = self.layers(branch, Grid { name, side })?;
                Grid { name: self.graph.add("Add", &[&name, &around.name], &[]), side }
            }
            Layer::Gate(gate) => {
                let gate = self.layers(gate, Grid { name: name.clone(), side })?;
                Grid { name: self.graph.add("Mul", &[&name, &gate.name], &[]), side }
            }
        })
    }

    fn convolve(&mut self, conv: &Conv, Grid { name, side }: Grid) -> Result<Grid, WeightsError> {
        let Geometry { outputs, kernel, stride, groups, padding, .. } = conv.geometry;
        let Kernel { weight, bias } = Kernel::folded(conv, self.weights, self.epsilon)?;
        let single = |values: Vec<f64>| move || values.into_iter().map(|value| value as f32).collect();
        let weight = self.graph.weights(&conv.weight_name(), &conv.weight_shape(), 0, single(weight));
        let bias = self.graph.constant(&format!("{}.bias", conv.name), &[outputs], single(bias));
        let (pads, next) = match padding {
            Padding::Half => ([kernel / 2; 2], (side + kernel / 2 * 2 - kernel) / stride + 1),
            Padding::Same => {
                let next = (side + stride - 1) / stride;
                let all = ((next - 1) * stride + kernel - side).max(0);
                ([all / 2, all - all / 2], next)
            }
        };
        let told = geometry(kernel, stride, pads);
        let told = [
            Told::Ints("kernel_shape", &told[0]),
            Told::Ints("strides", &told[1]),
            Told::Ints("pads", &told[2]),
            Told::Int("group", groups),
        ];
        Ok(Grid { name: self.graph.add("Conv", &[&name, &weight, &bias], &told), side: next })
    }

    fn activate(&mut self, activation: Activation, grid: Name) -> Name {
        match activation {
            Activation::Relu => self.graph.add("Relu", &[&grid], &[]),
            Activation::Relu6 => {
                let (least, most) = (self.graph.scalar(0.0), self.graph.scalar(6.0));
                self.graph.add("Clip", &[&grid, &least, &most], &[])
            }
            Activation::Silu => {
                let gate = self.graph.add("Sigmoid", &[&grid], &[]);
                self.graph.add("Mul", &[&grid, &gate], &[])
            }
            Activation::Sigmoid => self.graph.add("Sigmoid", &[&grid], &[]),
        }
    }
}

/// Window, step, and zeros before and after, along both axes.
fn geometry(kernel: i64, stride: i64, [before, after]: [i64; 2]) -> [Vec<i64>; 3] {
    [vec![kernel; 2], vec![stride; 2], vec![before, before, after, after]]
}
