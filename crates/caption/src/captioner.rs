//! The way from a photo to its captions.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifacts::vocabulary::Vocabulary;
use half::f16;
use half::slice::HalfFloatSliceExt;
use image::RgbImage;
use imaging::{ImageError, Transform};
use model::checkpoint::{Assembled, CheckpointError};
use model::grids::Join;
use model::search::{
    Hypothesis, SampleSettings, SearchError, SearchSettings, beam_search, log_likelihoods, sample,
};
use model::tuned::{Keyword, WordHead};
use onnx::{Decoder, DecoderModels, OnnxError};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::captioned::{Caption, Captioned};
use crate::error::CaptionError;
use crate::network::Network;
use crate::photo::{Features, Photo, Seen};
use crate::source::{Backbone, Source};
use crate::workers::{Cores, Workers};

/// Hypotheses in one step of a decoder, at most: fewer leave its weights little to do, more leave the cache.
const HYPOTHESES_AT_ONCE: usize = 28;

/// Where a captioner finds what is not in a checkpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder with the published weights of the backbones, for checkpoints of `train`; those that were tuned lie in the
    /// checkpoint's run, and captioners of `export` hold their own. Networks in ONNX files are looked for here too.
    pub weights: PathBuf,
}

impl Default for Options {
    /// `data/weights`.
    fn default() -> Self {
        Options { weights: stage::config::RunSettings::default().weights }
    }
}

/// Writes captions for photos. Can be shared by threads: a call uses all cores, and calls wait for one another only for
/// those; one of the methods with [`Cores`] uses the calling thread's alone if it is told so.
///
/// The three steps can be taken apart: [`photo`](Self::photo) needs no network and its result is small enough to wait
/// in a queue, [`features`](Self::features) is the CNN, [`search`](Self::search) the decoder.
pub struct Captioner {
    vocabulary: Vocabulary,
    search_settings: SearchSettings,
    join: Join,
    networks: Vec<Network>,
    /// Of the first network with tuned weights.
    keywords: Option<Keywords>,
    decoders: Workers<Decoder>,
    pool: ThreadPool,
}

/// What names the words of a photo.
struct Keywords {
    head: WordHead,
    /// The network's channels among those of all.
    channels: Range<usize>,
}

impl Captioner {
    /// Loads a captioner of `export`, which holds everything, or a checkpoint of `train` with the backbones that it names,
    /// whose weights must be those that it was trained with.
    ///
    /// # Errors
    ///
    /// When the file is neither, is damaged or of another version, or when weights are absent or others.
    pub fn open(model: &Path, options: &Options) -> Result<Captioner, CaptionError> {
        // Said before anything is read: without it nothing goes.
        onnx::library::check().map_err(OnnxError::from)?;
        let source = Source::read(model, &options.weights)?;
        let Assembled { header, description, parameters } = source.decoder()?;
        if header.features.is_empty() {
            return Err(CaptionError::NoFeatures(model.to_owned()));
        }
        let pool = ThreadPoolBuilder::new().thread_name(|number| format!("caption-{number}")).build()?;
        let cores = NonZeroUsize::new(pool.current_num_threads()).unwrap_or(NonZeroUsize::MIN);
        let (mut networks, mut keywords, mut channels) = (vec![], None, 0..0);
        for spec in &header.features {
            channels = channels.end..channels.end + spec.channels;
            let backbone = source.backbone(spec)?;
            if let (None, Backbone::Ours { weights, tuned: Some(tuned) }) = (&keywords, &backbone) {
                let head = WordHead::new(tuned.clone(), weights, spec.channels as i64)?;
                keywords = Some(Keywords { head, channels: channels.clone() });
            }
            networks.push(Network::new(spec, backbone, cores)?);
        }
        let decoders = Workers::new(cores, move |threads| {
            let models = DecoderModels::new(&description, &parameters).map_err(CheckpointError::from)?;
            Ok(Decoder::new(&models, threads)?)
        })?;
        Ok(Captioner {
            join: Join::new(&header.features),
            search_settings: source.search_settings(),
            vocabulary: header.vocabulary,
            networks,
            keywords,
            decoders,
            pool,
        })
    }

    /// Makes everything ready that is otherwise made when it is first needed: for those who answer in time, and not just once.
    ///
    /// # Errors
    ///
    /// When ONNX Runtime refuses a network.
    pub fn prepare(&self) -> Result<(), CaptionError> {
        self.networks.iter().try_for_each(Network::prepare)?;
        self.decoders.prepare()
    }

    /// How the recipe that made the model searches captions; the defaults for a checkpoint of `train`, which does not know.
    pub fn search_settings(&self) -> &SearchSettings {
        &self.search_settings
    }

    /// Rows and columns of the grid that words attend to.
    pub fn grid(&self) -> [usize; 2] {
        self.join.grid()
    }

    /// What is done to a photo before the first network sees it, to draw on photos with [`imaging::attention`].
    pub fn transform(&self) -> &Transform {
        &self.networks[0].transform
    }

    /// Decodes an image file, within the limits of [`imaging::decode`], and cuts out what the networks are shown.
    ///
    /// # Errors
    ///
    /// Bytes that are no image, a damaged one, or one beyond the limits.
    pub fn photo(&self, bytes: &[u8]) -> Result<Photo, ImageError> {
        let mut photo = self.photo_of(&imaging::decode(bytes)?);
        // The largest are decoded at a part of their size; who asks where something is means the file's own pixels.
        photo.seen.scale_to(imaging::probe(bytes)?);
        Ok(photo)
    }

    /// The same for pixels.
    pub fn photo_of(&self, image: &RgbImage) -> Photo {
        let squares = self.networks.iter().map(|network| network.transform.pixels(image)).collect();
        // The joined grid is that of the first network, and all are shown the same view.
        let transform = self.transform();
        let (width, height) = image.dimensions();
        let region = transform.visible_region(width, height);
        Photo { squares, seen: Seen { width, height, region, mirrored: transform.mirror } }
    }

    /// Runs the networks over photos side by side, or over one on all cores. Those beside it change a photo's features by
    /// rounding at most.
    ///
    /// # Errors
    ///
    /// ONNX Runtime refuses: there is not enough memory, say.
    pub fn features(&self, photos: &[Photo]) -> Result<Vec<Features>, CaptionError> {
        if photos.len() == 1 {
            return self.features_on(photos, Cores::All);
        }
        let at_once = self.networks.iter().map(Network::at_once).max().unwrap_or(1);
        let chunks = photos.par_chunks(at_once).map(|photos| self.features_on(photos, Cores::One));
        Ok(self.pool.install(|| chunks.collect::<Result<Vec<_>, CaptionError>>())?.concat())
    }

    /// The same on the calling thread, one photo after another.
    ///
    /// # Errors
    ///
    /// Those of [`features`](Self::features).
    pub fn features_on(&self, photos: &[Photo], cores: Cores) -> Result<Vec<Features>, CaptionError> {
        let networks = self.networks.iter().enumerate();
        let grids = networks.map(|(number, network)| {
            let squares: Vec<&RgbImage> = photos.iter().map(|photo| &photo.squares[number]).collect();
            network.grids(&squares, cores)
        });
        let sets = grids.collect::<Result<Vec<_>, CaptionError>>()?;
        let features = photos.iter().enumerate().map(|(photo, of)| {
            let grid = match sets.as_slice() {
                [only] => only[photo].clone(),
                several => {
                    let grids: Vec<&Arc<[f16]>> = several.iter().map(|set| &set[photo]).collect();
                    let mut joined = Vec::new();
                    self.join.append(&grids, &mut joined);
                    joined.into()
                }
            };
            Features { grid, seen: of.seen }
        });
        Ok(features.collect())
    }

    /// Searches the captions of photos by their features.
    ///
    /// # Errors
    ///
    /// Settings that make no sense for the vocabulary, or a refusal of ONNX Runtime.
    pub fn search(
        &self,
        features: &[Features],
        settings: &SearchSettings,
    ) -> Result<Vec<Captioned>, CaptionError> {
        if features.len() == 1 {
            return self.search_on(features, settings, Cores::All);
        }
        let per_core = features.len().div_ceil(self.pool.current_num_threads()).max(1);
        let chunks = features.par_chunks(per_core).map(|chunk| self.search_on(chunk, settings, Cores::One));
        Ok(self.pool.install(|| chunks.collect::<Result<Vec<_>, CaptionError>>())?.concat())
    }

    /// The same on the calling thread, some photos together.
    ///
    /// # Errors
    ///
    /// Those of [`search`](Self::search).
    pub fn search_on(
        &self,
        features: &[Features],
        settings: &SearchSettings,
        cores: Cores,
    ) -> Result<Vec<Captioned>, CaptionError> {
        let mut captioned = Vec::with_capacity(features.len());
        for features in features.chunks((HYPOTHESES_AT_ONCE / settings.beam_size.max(1)).max(1)) {
            let search = |decoder: &mut Decoder, memory: &onnx::Rows| beam_search(decoder, memory, settings);
            let beams = self.decoded(features, cores, search)?;
            captioned.extend(
                beams.into_iter().zip(features).map(|(beams, features)| self.captioned(beams, features)),
            );
        }
        Ok(captioned)
    }

    fn captioned(&self, found: Vec<Hypothesis>, features: &Features) -> Captioned {
        let captions = found.into_iter().map(|found| Caption::new(found, &self.vocabulary));
        Captioned { captions: captions.collect(), grid: self.grid(), seen: features.seen }
    }

    /// Draws `count` captions of each photo by chance, at least one, in the order in which they are drawn. `seed` decides them,
    /// whichever photos are beside one. On the calling thread, one photo after another.
    ///
    /// # Errors
    ///
    /// Settings that make no sense, or a refusal of ONNX Runtime.
    pub fn sample_on(
        &self,
        features: &[Features],
        settings: &SampleSettings,
        (count, seed): (usize, u64),
        cores: Cores,
    ) -> Result<Vec<Captioned>, CaptionError> {
        let draw = |decoder: &mut Decoder, memory: &onnx::Rows| {
            sample(decoder, memory, settings, (count.max(1), seed))
        };
        // One at a time: others in a batch would move what is computed by rounding, and chance may hang on that.
        let one = |features: &[Features]| -> Result<Captioned, CaptionError> {
            let drawn = self.decoded(features, cores, draw)?;
            Ok(self.captioned(drawn.into_iter().flatten().collect(), &features[0]))
        };
        features.chunks(1).map(one).collect()
    }

    /// Whether the model names [`keywords`](Self::keywords): it reads features of a backbone that was tuned.
    pub fn names_keywords(&self) -> bool {
        self.keywords.is_some()
    }

    /// The likeliest content words of each photo, at most `count`, by falling probability: the share of people's captions of
    /// such a photo that hold the word, as calibrated on the model's validation images.
    ///
    /// # Errors
    ///
    /// [`CaptionError::NoKeywords`] of a model whose backbones were not tuned.
    pub fn keywords(&self, features: &[Features], count: usize) -> Result<Vec<Vec<Keyword>>, CaptionError> {
        let Keywords { head, channels } = self.keywords.as_ref().ok_or(CaptionError::NoKeywords)?;
        let of_photo = |features: &Features| {
            let regions = features.grid.chunks_exact(self.join.channels().max(1));
            head.keywords(regions.map(|region| &region[channels.clone()]), count)
        };
        Ok(features.iter().map(of_photo).collect())
    }

    /// How probable each caption is under each photo, `[photos][captions]` natural log-probabilities with the end of
    /// the caption: which of some sentences fits best. Unknown words count as `<unk>`.
    ///
    /// # Errors
    ///
    /// ONNX Runtime refuses.
    pub fn log_likelihoods(
        &self,
        features: &[Features],
        captions: &[Vec<String>],
    ) -> Result<Vec<Vec<f64>>, CaptionError> {
        let ids = |words: &Vec<String>| words.iter().map(|word| self.vocabulary.id(word)).collect();
        let captions: Vec<Vec<u32>> = captions.iter().map(ids).collect();
        if features.is_empty() {
            return Ok(vec![]);
        }
        let measure =
            |decoder: &mut Decoder, memory: &onnx::Rows| log_likelihoods(decoder, memory, &captions);
        self.decoded(features, Cores::All, measure)
    }

    /// Photos in, captions out: [`features`](Self::features) and [`search`](Self::search) in one.
    ///
    /// # Errors
    ///
    /// Those of the two.
    pub fn caption(
        &self,
        photos: &[Photo],
        settings: &SearchSettings,
    ) -> Result<Vec<Captioned>, CaptionError> {
        self.search(&self.features(photos)?, settings)
    }

    /// What `work` makes of the memory of some photos.
    fn decoded<R>(
        &self,
        features: &[Features],
        cores: Cores,
        work: impl FnOnce(&mut Decoder, &onnx::Rows) -> Result<R, SearchError>,
    ) -> Result<R, CaptionError> {
        let shape = [features.len(), self.join.regions(), self.join.channels()];
        let mut grids = vec![0.0; shape.iter().product()];
        for (features, grid) in features.iter().zip(grids.chunks_mut(shape[1] * shape[2])) {
            features.grid.convert_to_f32_slice(grid);
        }
        let run = |decoder: &mut Decoder| {
            let memory = decoder.encode(&grids, shape)?;
            Ok(work(decoder, &memory)?)
        };
        self.decoders.on(cores, run)
    }
}
