//! Networks of others: any ONNX file that makes an array of regions and channels of images.
//!
//! What such a file says is not believed: it is [inspected](inspect) before ONNX Runtime reads it, and what the network gives
//! is compared with what was asked for.

use std::num::NonZeroUsize;

use artifacts::features::{Layout, OnnxOutput};

use crate::inspect::{self, Rejected};
use crate::session::{Array, Element, Input, OnnxError, Port, Session};

/// Most numbers of one image's grid.
const MOST_OF_GRID: usize = 1 << 24;
/// The largest number of half precision, in which features are kept.
const LARGEST: f32 = 65504.0;

/// Why a network of others is no backbone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// The file is refused before ONNX Runtime reads it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// ONNX Runtime is missing, or refuses.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// It takes something else than images.
    #[error(
        "the network takes {}: a backbone takes one array of f32 [batch, 3, height, width], the images",
        listed(.0)
    )]
    Inputs(Vec<Port>),
    /// It takes images of another size.
    #[error(
        "the network takes images of {wanted} pixels, but is shown {given}×{given}: `crop` must be what it takes"
    )]
    Side {
        /// Height and width as it declares them.
        wanted: String,
        /// Side of the squares that it is to be shown.
        given: usize,
    },
    /// It has no such output.
    #[error("the network gives no `{name}`: it gives {}", listed(known))]
    NoOutput {
        /// The name given.
        name: String,
        /// What there is.
        known: Vec<Port>,
    },
    /// It has several outputs, and none was chosen.
    #[error("the network gives {}: `output` must name the one that is meant", listed(.0))]
    Outputs(Vec<Port>),
    /// The output is not of 32-bit floating point.
    #[error(
        "the network's output `{0}` is no array of f32: export the network with outputs of f32, or name another output"
    )]
    OutputType(Port),
    /// The output has other dimensions than the layout says.
    #[error(
        "the network's output `{name}` is {found}, and {} is wanted: `regions` says how the regions lie in it{}",
        wanted(*.layout), others(known)
    )]
    OutputShape {
        /// Its name.
        name: String,
        /// Its shape.
        found: String,
        /// How the regions should lie.
        layout: Layout,
        /// All outputs, if another may be meant.
        known: Vec<Port>,
    },
    /// Nothing is left of the tokens.
    #[error(
        "the network gives {tokens} tokens, and `drop_tokens` leaves none of them: it must be below {tokens}"
    )]
    NoRegions {
        /// Number of tokens of an image.
        tokens: usize,
    },
    /// A grid that memory may not hold.
    #[error("the network gives {0} numbers for an image; at most {MOST_OF_GRID} are kept")]
    TooLarge(usize),
    /// Features that are no numbers, or too large.
    #[error(
        "the network gives numbers that are not finite in half precision: its weights are damaged, or `mean` and `std` are \
         not those that it was trained with"
    )]
    NotFinite,
}

fn listed(ports: &[Port]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("`{port}`")).collect();
    if ports.is_empty() { "nothing".to_owned() } else { ports.join(", ") }
}

fn others(ports: &[Port]) -> String {
    if ports.len() > 1 { format!("; the outputs are {}", listed(ports)) } else { String::new() }
}

fn wanted(layout: Layout) -> &'static str {
    match layout {
        Layout::ChannelsFirst => "[batch, channels, rows, columns]",
        Layout::ChannelsLast => "[batch, rows, columns, channels]",
        Layout::Tokens => "[batch, tokens, channels]",
    }
}

/// A network of others ready to look at images of one size.
#[derive(Debug)]
pub struct ForeignBackbone {
    session: Session,
    input: String,
    of: OnnxOutput,
    /// Images in each run, where the file says it.
    batch: Option<usize>,
    side: usize,
}

/// Grids of some images.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignGrids {
    /// Rows and columns, where the network tells; tokens are only a number of regions.
    pub sides: Option<[usize; 2]>,
    /// Regions of an image.
    pub regions: usize,
    /// Features of a region.
    pub channels: usize,
    /// `[images × regions × channels]`, regions row by row from the top left.
    pub values: Vec<f32>,
}

impl ForeignBackbone {
    /// The network in an ONNX file for images of `side` pixels, on so many threads. An empty name of the output is the only one.
    ///
    /// # Errors
    ///
    /// A file that is damaged, keeps weights elsewhere or wants too much memory; a network that takes something else than
    /// images of that size, or has no such output; and refusals of ONNX Runtime.
    pub fn new(
        model: &[u8],
        of: &OnnxOutput,
        side: u32,
        threads: NonZeroUsize,
    ) -> Result<ForeignBackbone, ForeignError> {
        inspect::inspect(model)?;
        let session = Session::of_equal_runs(model, threads)?;
        let side = side as usize;
        let [input] = session.inputs() else { return Err(ForeignError::Inputs(session.inputs().to_vec())) };
        let (name, batch) = (input.name.clone(), takes(input, side)?);
        // ONNX Runtime knows shapes that the file leaves out.
        session.outputs().iter().try_for_each(inspect::port)?;
        let output = output(session.outputs(), of)?.name.clone();
        Ok(ForeignBackbone { session, input: name, of: OnnxOutput { output, ..of.clone() }, batch, side })
    }

    /// Where the grid is, with the name of the output.
    pub fn output(&self) -> &OnnxOutput {
        &self.of
    }

    /// How many images it takes at a time, `None` for any number.
    pub fn at_once(&self) -> Option<usize> {
        self.batch
    }

    /// Numbers of one image: 3 × side × side.
    pub fn numbers(&self) -> usize {
        3 * self.side * self.side
    }

    /// Features of normalised images, `[images × 3 × side × side]`. A network that takes a fixed number of images is run as
    /// often as is needed, its last batch filled up.
    ///
    /// # Errors
    ///
    /// Grids of another shape than asked for, or with numbers that are not finite; refusals of ONNX Runtime.
    pub fn grids(&mut self, images: &[f32]) -> Result<ForeignGrids, ForeignError> {
        let numbers = self.numbers();
        let (count, batch) = (images.len() / numbers, self.batch.unwrap_or(images.len() / numbers).max(1));
        let mut all: Option<ForeignGrids> = None;
        for images in images.chunks(batch * numbers) {
            let grids = if images.len() < batch * numbers {
                let mut filled = images.to_vec();
                filled.resize(batch * numbers, 0.0);
                self.run(&filled)?
            } else {
                self.run(images)?
            };
            match &mut all {
                None => all = Some(grids),
                Some(all) => all.values.extend(grids.values),
            }
        }
        let mut all = all.ok_or_else(|| OnnxError::Absent(self.of.output.clone()))?;
        all.values.truncate(count * all.regions * all.channels);
        // Rows that fill up a batch are no one's features.
        if all.values.iter().any(|value| !value.is_finite() || value.abs() > LARGEST) {
            return Err(ForeignError::NotFinite);
        }
        Ok(all)
    }

    fn run(&mut self, images: &[f32]) -> Result<ForeignGrids, ForeignError> {
        let shape = [images.len() / self.numbers(), 3, self.side, self.side];
        let input = Input::F32 { shape: &shape, values: images };
        let array = self.session.run_for(&[(&self.input, input)], &self.of.output)?;
        self.grids_of(array, shape[0])
    }

    fn grids_of(&self, Array { shape, values }: Array, batch: usize) -> Result<ForeignGrids, ForeignError> {
        let layout = self.of.regions;
        let (sides, regions, channels) = match (layout, shape.as_slice()) {
            (Layout::ChannelsFirst, &[images, channels, rows, columns]) if images == batch => {
                (Some([rows, columns]), rows * columns, channels)
            }
            (Layout::ChannelsLast, &[images, rows, columns, channels]) if images == batch => {
                (Some([rows, columns]), rows * columns, channels)
            }
            (Layout::Tokens, &[images, tokens, channels]) if images == batch => {
                let regions = tokens.saturating_sub(self.of.drop_tokens);
                if regions == 0 {
                    return Err(ForeignError::NoRegions { tokens });
                }
                (None, regions, channels)
            }
            _ => {
                let (name, found) = (self.of.output.clone(), format!("{shape:?}"));
                let known = self.session.outputs().to_vec();
                return Err(ForeignError::OutputShape { name, found, layout, known });
            }
        };
        let numbers = regions * channels;
        if numbers > MOST_OF_GRID {
            return Err(ForeignError::TooLarge(numbers));
        }
        if numbers == 0 {
            let (name, found) = (self.of.output.clone(), format!("{shape:?}"));
            return Err(ForeignError::OutputShape { name, found, layout, known: vec![] });
        }
        let values = match layout {
            Layout::ChannelsFirst => channels_last(&values, channels, regions),
            Layout::ChannelsLast => values,
            Layout::Tokens => {
                let dropped = self.of.drop_tokens * channels;
                values.chunks(dropped + numbers).flat_map(|image| &image[dropped..]).copied().collect()
            }
        };
        Ok(ForeignGrids { sides, regions, channels, values })
    }
}

/// `[images × channels × regions]` as `[images × regions × channels]`.
fn channels_last(values: &[f32], channels: usize, regions: usize) -> Vec<f32> {
    let mut turned = vec![0.0; values.len()];
    let images = values.chunks(channels * regions).zip(turned.chunks_mut(channels * regions));
    for (image, turned) in images {
        for (channel, of_channel) in image.chunks(regions).enumerate() {
            for (region, value) in of_channel.iter().enumerate() {
                turned[region * channels + channel] = *value;
            }
        }
    }
    turned
}

/// How many images the input takes at a time, `None` for any number, if it takes images of this side.
fn takes(input: &Port, side: usize) -> Result<Option<usize>, ForeignError> {
    let refused = || ForeignError::Inputs(vec![input.clone()]);
    if input.element != Element::F32 {
        return Err(refused());
    }
    match *input.shape.as_slice() {
        // What the file leaves open, a run decides.
        [] => Ok(None),
        [batch, channels, height, width] => {
            if batch == Some(0) || channels.is_some_and(|channels| channels != 3) {
                return Err(refused());
            }
            if [height, width].iter().any(|size| size.is_some_and(|size| size != side)) {
                let said = |size: Option<usize>| size.map_or("any".to_owned(), |size| size.to_string());
                let wanted = format!("{}×{}", said(height), said(width));
                return Err(ForeignError::Side { wanted, given: side });
            }
            Ok(batch)
        }
        _ => Err(refused()),
    }
}

/// The output that is meant.
fn output<'a>(outputs: &'a [Port], of: &OnnxOutput) -> Result<&'a Port, ForeignError> {
    let found = match outputs {
        [only] if of.output.is_empty() => only,
        several if of.output.is_empty() => return Err(ForeignError::Outputs(several.to_vec())),
        all => all
            .iter()
            .find(|port| port.name == of.output)
            .ok_or_else(|| ForeignError::NoOutput { name: of.output.clone(), known: all.to_vec() })?,
    };
    if found.element != Element::F32 {
        return Err(ForeignError::OutputType(found.clone()));
    }
    let dimensions = if of.regions == Layout::Tokens { 3 } else { 4 };
    if !found.shape.is_empty() && found.shape.len() != dimensions {
        return Err(ForeignError::OutputShape {
            name: found.name.clone(),
            found: found.sizes(),
            layout: of.regions,
            known: outputs.to_vec(),
        });
    }
    Ok(found)
}
