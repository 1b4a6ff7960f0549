//! The way from a photo to its captions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifacts::features::FeatureSpec;
use artifacts::vocabulary::Vocabulary;
use half::f16;
use image::RgbImage;
use imaging::{ImageError, Transform};
use model::checkpoint::Model;
use model::grids::{GridError, Join};
use model::search::{SearchSettings, beam_search, log_likelihoods};
use model::tuned::{Keyword, WordHead};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::Device;

use crate::captioned::{Caption, Captioned};
use crate::error::CaptionError;
use crate::network::Network;
use crate::photo::{Features, Photo, Seen};
use crate::source::Source;
use crate::workers::Workers;

/// Photos that are searched together: the search is written for many rows, a network for few.
const SEARCHED_AT_ONCE: usize = 25;

/// Where a captioner runs, and where it finds what is not in a checkpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the networks run.
    pub device: Device,
    /// Folder with the published weights of the backbones, for checkpoints of `train`; those that were tuned lie in the
    /// checkpoint's run, and captioners of `export` hold their own.
    pub weights: PathBuf,
}

impl Default for Options {
    /// The CPU, and `data/weights`.
    fn default() -> Self {
        Options { device: Device::Cpu, weights: stage::config::RunSettings::default().weights }
    }
}

/// Writes captions for photos. Can be shared by threads: each call uses all cores, and calls do not wait for one
/// another except for those.
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
    models: Workers<Model>,
    pool: ThreadPool,
}

/// What names the words of a photo.
struct Keywords {
    heads: Workers<WordHead>,
    /// Where the network's channels begin among those of all, and how many they are.
    channels: [i64; 2],
}

impl Captioner {
    /// Loads a captioner of `export`, which holds everything, or a checkpoint of `train` with the backbones that it names,
    /// whose weights must be those that it was trained with.
    ///
    /// # Errors
    ///
    /// When the file is neither, is damaged or of another version, or when weights are absent or others.
    pub fn open(model: &Path, options: &Options) -> Result<Captioner, CaptionError> {
        let source = Source::read(model, &options.weights)?;
        let loaded = source.model(options.device)?;
        // As in extraction: independent batches side by side, each on one thread of libtorch.
        let pool = ThreadPoolBuilder::new()
            .thread_name(|number| format!("caption-{number}"))
            .start_handler(|_| model::threads::single())
            .build()?;
        let threads = pool.current_num_threads();
        let header = loaded.header.clone();
        let network = |spec: &FeatureSpec| -> Result<Network, CaptionError> {
            Ok(Network::new(spec, source.backbone(spec, options.device)?, threads)?)
        };
        let networks = header.features.iter().map(network).collect::<Result<Vec<_>, _>>()?;
        if networks.is_empty() {
            return Err(CaptionError::NoFeatures(model.to_owned()));
        }
        let keywords = Keywords::find(&source, &header.features, threads, options.device)?;
        let copies = (1..threads).map(|_| loaded.share()).collect::<Result<Vec<_>, _>>()?;
        let models = Workers::new(copies.into_iter().chain([loaded]));
        let (join, search_settings) = (Join::new(&header.features), source.search_settings());
        Ok(Captioner {
            vocabulary: header.vocabulary,
            search_settings,
            join,
            networks,
            keywords,
            models,
            pool,
        })
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
        self.networks[0].squares.transform()
    }

    /// Decodes an image file, within the limits of [`imaging::decode`], and cuts out what the networks are shown.
    ///
    /// # Errors
    ///
    /// Bytes that are no image, a damaged one, or one beyond the limits.
    pub fn photo(&self, bytes: &[u8]) -> Result<Photo, ImageError> {
        Ok(self.photo_of(&imaging::decode(bytes)?))
    }

    /// The same for pixels.
    pub fn photo_of(&self, image: &RgbImage) -> Photo {
        let squares = self.networks.iter().map(|network| network.squares.transform().pixels(image)).collect();
        // The joined grid is that of the first network, and all are shown the same view.
        let transform = self.transform();
        let (width, height) = image.dimensions();
        let region = transform.visible_region(width, height);
        Photo { squares, seen: Seen { width, height, region, mirrored: transform.mirror } }
    }

    /// Runs the networks. Those beside it change a photo's features by rounding at most.
    ///
    /// # Errors
    ///
    /// libtorch refuses: there is not enough memory, say.
    pub fn features(&self, photos: &[Photo]) -> Result<Vec<Features>, CaptionError> {
        let networks = self.networks.iter().enumerate();
        let sets = self.pool.install(|| {
            let grids = networks.map(|(number, network)| {
                let squares: Vec<&RgbImage> = photos.iter().map(|photo| &photo.squares[number]).collect();
                network.grids(&squares)
            });
            grids.collect::<Result<Vec<_>, GridError>>()
        })?;
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
    /// Settings that make no sense for the vocabulary, or a refusal of libtorch.
    pub fn search(
        &self,
        features: &[Features],
        settings: &SearchSettings,
    ) -> Result<Vec<Captioned>, CaptionError> {
        let chunk = features.len().div_ceil(self.models.len()).clamp(1, SEARCHED_AT_ONCE);
        self.pool.install(|| {
            let found: Result<Vec<Vec<Captioned>>, CaptionError> =
                features.par_chunks(chunk).map(|features| self.search_together(features, settings)).collect();
            Ok(found?.into_iter().flatten().collect())
        })
    }

    fn search_together(
        &self,
        features: &[Features],
        settings: &SearchSettings,
    ) -> Result<Vec<Captioned>, CaptionError> {
        let model = self.models.of_this_thread();
        let memory = self.encoded(&model, features)?;
        let beams = beam_search(model.decoder.as_ref(), &memory, settings)?;
        let captioned = beams.into_iter().zip(features).map(|(beams, features)| {
            let captions = beams.into_iter().map(|beam| Caption::new(beam, &self.vocabulary));
            Captioned { captions: captions.collect(), grid: self.grid(), seen: features.seen }
        });
        Ok(captioned.collect())
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
    /// [`CaptionError::NoKeywords`] of a model whose backbones were not tuned, or a refusal of libtorch.
    pub fn keywords(&self, features: &[Features], count: usize) -> Result<Vec<Vec<Keyword>>, CaptionError> {
        let Keywords { heads, channels: [first, channels] } =
            self.keywords.as_ref().ok_or(CaptionError::NoKeywords)?;
        if features.is_empty() {
            return Ok(vec![]);
        }
        self.pool.install(|| {
            let head = heads.of_this_thread();
            let values: Vec<f16> =
                features.iter().flat_map(|features| features.grid.iter().copied()).collect();
            let grid = self.join.tensor(&values, head.device())?;
            Ok(head.keywords(&grid.f_narrow(2, *first, *channels)?, count)?)
        })
    }

    /// How probable each caption is under each photo, `[photos][captions]` natural log-probabilities with the end of
    /// the caption: which of some sentences fits best. Unknown words count as `<unk>`.
    ///
    /// # Errors
    ///
    /// libtorch refuses.
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
        self.pool.install(|| {
            let model = self.models.of_this_thread();
            let memory = self.encoded(&model, features)?;
            Ok(log_likelihoods(model.decoder.as_ref(), &memory, &captions)?)
        })
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

    fn encoded(&self, model: &Model, features: &[Features]) -> Result<model::decoder::Rows, CaptionError> {
        let values: Vec<f16> = features.iter().flat_map(|features| features.grid.iter().copied()).collect();
        let grid = self.join.tensor(&values, model.device())?;
        Ok(tch::no_grad(|| model.decoder.encode(&grid, false))?)
    }
}

impl Keywords {
    /// The head of the first of some features that has one, a copy for each of the threads.
    fn find(
        source: &Source,
        features: &[FeatureSpec],
        threads: usize,
        device: Device,
    ) -> Result<Option<Keywords>, CaptionError> {
        let mut first = 0;
        for spec in features {
            let channels = spec.channels as i64;
            if let Some(head) = source.word_head(spec, device)? {
                let copies: Vec<WordHead> = (1..threads).map(|_| head.share()).collect();
                let heads = Workers::new(copies.into_iter().chain([head]));
                return Ok(Some(Keywords { heads, channels: [first, channels] }));
            }
            first += channels;
        }
        Ok(None)
    }
}
