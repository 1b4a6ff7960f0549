//! The algorithm of tuning: epochs of steps, steps of parts that are computed side by side.
//!
//! A batch is cut into parts of a fixed size; the network computes each part on one thread, forward and, once the objective has
//! seen the grids of the whole batch, backward. Gradients are summed in the order of the parts. So the number of threads
//! changes nothing in the result.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use anyhow::Context as _;
use learn::{Adam, Log, Schedule, step_seed};
use rayon::ThreadPool;
use rayon::prelude::*;
use stage::progress::Progress as Bar;
use tch::{Device, Kind, TchError, Tensor};
use torch::backbone::Trainable;
use torch::draws::Draws;

use crate::examples::Examples;
use crate::feed::{Feed, Pixels, Reader};
use crate::objective::Objective;
use crate::quality::Predictions;
use crate::settings::{Lesson, Settings};
use crate::state::{Progress, State};
use crate::words::Words;

/// Images of a part. On one thread libtorch sends 1×1 convolutions of fewer images to a slower routine.
const PART_IMAGES: usize = 16;
const BATCHES_AHEAD: usize = 1;
const LOG_EVERY: usize = 20;
const SAVE_EVERY: usize = 100;

/// Everything that tuning one backbone needs, and that stays as it is.
pub(crate) struct Tuner<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) lesson: &'a Lesson,
    pub(crate) device: Device,
    pub(crate) quiet: bool,
    /// Where the logs lie.
    pub(crate) folder: &'a Path,
    pub(crate) state: State,
    pub(crate) network: Trainable,
    pub(crate) words: Words<'a>,
    /// What is minimised: its parameters are those of `words`, and perhaps more.
    pub(crate) objective: &'a dyn Objective,
    /// The train images.
    pub(crate) feed: &'a Feed<'a>,
    pub(crate) val: &'a Examples,
    /// Words of the head that are content words.
    pub(crate) content: &'a [usize],
    /// Where parts are computed, each on one thread of libtorch.
    pub(crate) networks: &'a ThreadPool,
    /// Tells people what happens.
    pub(crate) note: &'a dyn Fn(&str),
}

/// Some images of a batch and the network for them.
struct Part {
    network: Trainable,
    pixels: Tensor,
}

impl Tuner<'_> {
    /// Tunes to the end, resuming what was interrupted. The network and the head hold the result.
    pub(crate) fn run(&self, fingerprint: &str) -> anyhow::Result<Progress> {
        let mut optimisers = [
            Adam::new(self.network.parameters(), self.settings.weight_decay),
            Adam::new(self.objective.parameters(), self.settings.weight_decay),
        ];
        let mut progress = self.state.resume(fingerprint, &mut optimisers)?;
        if progress.steps > 0 {
            (self.note)(&format!("  resuming after step {}", progress.steps));
        }
        let mut log = Log::open(self.folder, progress.steps)?;
        let steps = self.feed.examples.len().div_ceil(self.settings.batch_images);
        while progress.steps < steps * self.lesson.epochs {
            self.epoch(progress.steps / steps, steps, &mut progress, &mut optimisers, &mut log)?;
        }
        Ok(progress)
    }

    /// The rest of an epoch of `steps` steps.
    fn epoch(
        &self,
        epoch: usize,
        steps: usize,
        progress: &mut Progress,
        optimisers: &mut [Adam; 2],
        log: &mut Log,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let done = progress.steps % steps;
        let batches =
            self.feed.examples.shuffled(self.settings.batch_images, self.feed.seed, epoch).split_off(done);
        let bar = Bar::new(&format!("epoch {}", epoch + 1), "batches", batches.len(), self.quiet);
        let mut losses = (0.0, 0usize);
        std::thread::scope(|scope| -> anyhow::Result<()> {
            // The next batch is read while this one is computed.
            let (sender, receiver) = sync_channel(BATCHES_AHEAD);
            let feed = self.feed;
            // Sending fails when an error has ended the epoch.
            let read = move || batches.iter().try_for_each(|images| sender.send(feed.batch(images, epoch)));
            std::thread::Builder::new().spawn_scoped(scope, read).context("cannot start a thread")?;
            for pixels in receiver {
                let images = pixels.images.len();
                let loss = self.step(pixels, steps, progress, optimisers)?;
                losses = (losses.0 + loss * images as f64, losses.1 + images);
                if progress.steps.is_multiple_of(LOG_EVERY) {
                    log.write(progress.steps, &[("train/loss", loss)])?;
                    bar.message(format!("loss {loss:.3}"));
                }
                if progress.steps.is_multiple_of(SAVE_EVERY) {
                    self.state.save(progress, optimisers)?;
                }
                bar.add(1);
            }
            Ok(())
        })?;
        drop(bar);
        self.check_skipped(progress)?;
        let seconds = started.elapsed().as_secs_f64();
        let predictions = self.predictions(self.val)?;
        let quality = predictions.quality(&predictions.calibration());
        let loss = losses.0 / losses.1.max(1) as f64;
        let values = [
            ("validation/mean_average_precision", quality.mean_average_precision),
            ("validation/calibration_error", quality.calibration_error),
            ("train/epoch_seconds", seconds),
        ];
        log.write(progress.steps, &values)?;
        self.state.save(progress, optimisers)?;
        (self.note)(&format!(
            "  epoch {:>2}: loss {loss:.3}, val mean average precision {:.4} of {} words, calibration error {:.3}  ({seconds:.0} s)",
            epoch + 1,
            quality.mean_average_precision,
            quality.words,
            quality.calibration_error,
        ));
        Ok(())
    }

    /// Gradients of the mean loss of a batch, and a step of both optimisers; returns that loss.
    fn step(
        &self,
        pixels: Pixels,
        steps: usize,
        progress: &mut Progress,
        [network, head]: &mut [Adam; 2],
    ) -> anyhow::Result<f64> {
        let done = progress.steps;
        progress.steps += 1;
        progress.skipped.extend(pixels.skipped);
        if pixels.images.is_empty() {
            return Ok(0.0);
        }
        let size = pixels.values.len() / pixels.images.len();
        let parts = pixels.values.chunks(PART_IMAGES * size);
        let parts = parts.map(|values| {
            let pixels = self.feed.reader.tensor(values, self.device)?;
            Ok(Part { network: self.network.clone(), pixels })
        });
        let parts = parts.collect::<Result<Vec<Part>, TchError>>()?;
        let grids = |part: Part| Ok((part.network.grid(&part.pixels)?, part.network));
        let grids: Vec<(Tensor, Trainable)> =
            self.networks.install(|| parts.into_par_iter().map(grids).collect::<Result<_, TchError>>())?;
        let draws = Draws::new(step_seed(self.feed.seed, done));
        let all: Vec<&Tensor> = grids.iter().map(|(grid, _)| grid).collect();
        let grid = Tensor::f_cat(&all, 0)?.f_detach()?.set_requires_grad(true);
        let loss =
            self.objective.loss(&grid, &pixels.images, &draws)?.f_div_scalar(pixels.images.len() as f64)?;
        let value = loss.f_double_value(&[])?;
        anyhow::ensure!(value.is_finite(), "the loss is {value} at step {done}: lower tune.learning_rate");
        let learning: Vec<Tensor> =
            std::iter::once(grid).chain(sorted(self.objective.parameters())).collect();
        let by = Tensor::f_run_backward(&[&loss], &learning, false, false)?;
        let (of_grid, of_objective) = (&by[0], &by[1..]);
        let of_parts = of_grid.f_split(PART_IMAGES as i64, 0)?;
        let parts: Vec<_> = grids.into_iter().zip(of_parts).collect();
        let gradients = self.networks.install(|| {
            let of = |((grid, network), gradient)| gradients(&grid, &network, &gradient);
            parts.into_par_iter().map(of).collect::<Result<Vec<_>, TchError>>()
        })?;
        let Some(of_network) = gradients.into_iter().map(Ok).reduce(|sum, part| plus(sum?, &part?)) else {
            return Ok(0.0);
        };
        let factor = Schedule::Cosine.factor(done, self.settings.warmup_steps, steps * self.lesson.epochs);
        let rate = self.lesson.learning_rate * factor;
        network.step(&of_network?, rate, f64::INFINITY, self.networks)?;
        let rate = self.lesson.head_learning_rate * factor;
        head.step(of_objective, rate, f64::INFINITY, self.networks)?;
        Ok(value)
    }

    /// The head's scores for the images of `examples` as extraction shows them; images that cannot be read are left out.
    pub(crate) fn predictions<'e>(&'e self, examples: &'e Examples) -> anyhow::Result<Predictions<'e>> {
        let numbers: Vec<usize> = (0..examples.len()).collect();
        let parts =
            numbers.chunks(PART_IMAGES).map(|images| (images, self.network.clone(), self.words.share()));
        let parts: Vec<_> = parts.collect();
        let (reader, device): (&Reader, Device) = (&self.feed.reader, self.device);
        let score = |(images, network, words): (&[usize], Trainable, Words)| -> anyhow::Result<_> {
            let wanted = images.iter().map(|&image| (image, &examples.images[image].row, None));
            // One after the other: a thread that waited for others would begin the next part meanwhile.
            let pixels = reader.read(&wanted.collect::<Vec<_>>());
            if pixels.images.is_empty() {
                return Ok((vec![], vec![]));
            }
            let input = reader.tensor(&pixels.values, device)?;
            let scores = tch::no_grad(|| words.scores(&network.grid(&input)?))?;
            Ok((pixels.images, Vec::<Vec<f32>>::try_from(scores.f_to_kind(Kind::Float)?)?))
        };
        let scored: Vec<_> =
            self.networks.install(|| parts.into_par_iter().map(score).collect::<anyhow::Result<_>>())?;
        let (images, scores): (Vec<_>, Vec<_>) = scored.into_iter().unzip();
        Ok(Predictions { examples, images: images.concat(), scores: scores.concat(), content: self.content })
    }

    fn check_skipped(&self, progress: &Progress) -> anyhow::Result<()> {
        let Some((path, reason)) = progress.skipped.first_key_value() else { return Ok(()) };
        let share = progress.skipped.len() as f64 / self.feed.examples.len() as f64;
        anyhow::ensure!(
            share <= self.settings.max_bad_fraction,
            "{} of {} train images cannot be used, more than tune.max_bad_fraction = {}; the first: {path}: {reason}",
            progress.skipped.len(),
            self.feed.examples.len(),
            self.settings.max_bad_fraction,
        );
        Ok(())
    }
}

/// In the order of the optimisers' parameters.
fn sorted(mut named: Vec<(String, Tensor)>) -> impl Iterator<Item = Tensor> {
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, tensor)| tensor)
}

/// The gradients by the network's parameters of a loss whose gradient by a part's grid is known.
fn gradients(grid: &Tensor, network: &Trainable, of_grid: &Tensor) -> Result<Vec<Tensor>, TchError> {
    let loss = grid.f_mul(of_grid)?.f_sum(Kind::Float)?;
    Tensor::f_run_backward(&[&loss], &sorted(network.parameters()).collect::<Vec<_>>(), false, false)
}

/// The sum of the gradients of parts.
fn plus(sum: Vec<Tensor>, other: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
    sum.into_iter().zip(other).map(|(mut sum, gradient)| sum.f_add_(gradient)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use ::images::ImageSource;
    use artifacts::Split;
    use artifacts::features::FeatureSpec;
    use artifacts::images::ImageRow;
    use artifacts::tokens::TokenRow;
    use artifacts::vocabulary::Vocabulary;
    use model::backbone::BackboneSpec;
    use model::checkpoint::Header;
    use model::decoder::{DecoderConfig, SoftAttentionConfig};
    use model::weights::NamedArrays;
    use rayon::ThreadPoolBuilder;
    use tch::nn::VarStore;
    use torch::precision::Precision;
    use torch::pretrained::Pretrained;

    use super::*;
    use crate::augment::Augment;
    use crate::captions::Captions;
    use crate::settings::ObjectiveKind;
    use crate::start::Weights;

    const IMAGES: usize = 21;

    /// Images of two colours in a folder, one of them unreadable, with captions that name the colour.
    fn dataset(folder: &Path) -> (Vec<ImageRow>, Vec<TokenRow>) {
        let (mut rows, mut captions) = (vec![], vec![]);
        for number in 0..IMAGES {
            let (path, red) = (format!("{number}.png"), number.is_multiple_of(2));
            let color = if red { [200, 30, 30] } else { [30, 30, 200] };
            let file = folder.join(&path);
            image::RgbImage::from_pixel(40, 30 + number as u32, image::Rgb(color)).save(&file).unwrap();
            let content_hash = artifacts::recipe::digest_file(&file).unwrap();
            if number == 3 {
                std::fs::write(&file, "no image").unwrap();
            }
            for split in [Split::Train, Split::Val] {
                let image_id = format!("{split} {number}");
                let row = ImageRow {
                    image_id: image_id.clone(),
                    path: path.clone(),
                    offset: None,
                    length: None,
                    row: None,
                    split,
                    width: 40,
                    height: 30,
                    content_hash: content_hash.clone(),
                };
                rows.push(row);
                captions.push(TokenRow {
                    image_id,
                    caption_id: 0,
                    split,
                    words: vec![if red { "red" } else { "blue" }.to_owned()],
                    ids: vec![1, if red { 4 } else { 5 }, 2],
                    length: 3,
                });
            }
        }
        (rows, captions)
    }

    fn weights(spec: &BackboneSpec) -> NamedArrays {
        tch::manual_seed(1);
        let tensor = |(name, shape): (String, Vec<i64>)| {
            let options = (Kind::Float, Device::Cpu);
            let tensor = match shape.len() {
                4 => {
                    Tensor::randn(&shape, options) * (2.0 / shape[1..].iter().product::<i64>() as f64).sqrt()
                }
                _ if name.ends_with("weight") || name.ends_with("running_var") => {
                    Tensor::ones(&shape, options)
                }
                _ => Tensor::zeros(&shape, options),
            };
            (name, torch::weights::array(&tensor).unwrap())
        };
        let shapes = spec.tensors(&NamedArrays::new("", BTreeMap::new()));
        NamedArrays::new("random", shapes.into_iter().map(tensor).collect())
    }

    /// A decoder with dropout for the grids of `spec` that has learnt nothing yet.
    fn decoder(folder: &Path, spec: &BackboneSpec, vocabulary: &Vocabulary) -> Pretrained {
        let header = Header {
            decoder: DecoderConfig::SoftAttention(SoftAttentionConfig {
                embedding_size: 8,
                feature_size: 8,
                hidden_size: 8,
                attention_size: 8,
                ..SoftAttentionConfig::default()
            }),
            vocabulary: vocabulary.clone(),
            features: vec![FeatureSpec {
                backbone: spec.name.to_owned(),
                view: Default::default(),
                weights: Default::default(),
                weights_sha256: String::new(),
                onnx: None,
                transform: serde_json::Value::Null,
                grid: [1, 1],
                channels: spec.channels as usize,
            }],
            provenance: serde_json::Value::Null,
        };
        tch::manual_seed(2);
        let store = VarStore::new(Device::Cpu);
        torch::decoder::build(&header.decoder, &store.root(), header.dimensions(), Precision::F32).unwrap();
        let path = folder.join("decoder.safetensors");
        torch::checkpoint::save(&path, &header, &store).unwrap();
        Pretrained::read(&path).unwrap()
    }

    /// What three epochs on so many threads make of the network and the head, and the mean average precision of the result.
    fn tuned(
        folder: &Path,
        kind: ObjectiveKind,
        threads: usize,
        note: impl Fn(&str),
    ) -> (Vec<Tensor>, f64, Progress) {
        let (images, captions) = dataset(folder);
        let words = ["red", "blue"].map(str::to_owned);
        let [train, val] =
            [Split::Train, Split::Val].map(|split| Examples::new(&images, split, &captions, &words));
        let spec = BackboneSpec::named("resnet18").unwrap();
        let start = Weights { tensors: weights(spec), header: None };
        let lesson = Lesson {
            start_from: "decoder.safetensors".into(),
            objective: kind,
            from_block: 6,
            epochs: 3,
            learning_rate: 1e-3,
            head_learning_rate: 1e-2,
        };
        let network = Trainable::build(spec, &start.tensors, lesson.from_block, Device::Cpu).unwrap();
        let head = Words::new(&train, &words, &start, spec.channels, Device::Cpu).unwrap();
        let vocabulary = Vocabulary::new(words.clone()).unwrap();
        let objective: Box<dyn Objective> = match kind {
            ObjectiveKind::Words => Box::new(head.share()),
            ObjectiveKind::Captions => {
                let file = decoder(folder, spec, &vocabulary);
                Box::new(Captions::new(head.share(), &train, &file, vocabulary, 1, Device::Cpu).unwrap())
            }
        };
        let pool = ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| torch::threads::single());
        let pool = pool.build().unwrap();
        let transform = imaging::Transform { resize: 32, crop: 32, ..spec.transform.clone() };
        let feed = Feed {
            examples: &train,
            reader: Reader { source: ImageSource::open(folder.to_str().unwrap()).unwrap(), transform },
            augment: Augment { least_area: 0.5, light: 0.2 },
            seed: 1,
            threads: &pool,
        };
        let settings =
            Settings { batch_images: 20, warmup_steps: 0, max_bad_fraction: 0.5, ..Settings::default() };
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).unwrap();
        let tuner = Tuner {
            settings: &settings,
            lesson: &lesson,
            device: Device::Cpu,
            quiet: true,
            folder: &logs,
            state: State(folder.join("state")),
            network,
            words: head,
            objective: objective.as_ref(),
            feed: &feed,
            val: &val,
            content: &[0, 1],
            networks: &pool,
            note: &note,
        };
        let progress = tuner.run("recipe").unwrap();
        let predictions = tuner.predictions(&val).unwrap();
        let quality = predictions.quality(&predictions.calibration());
        let learnt = tuner.network.parameters().into_iter().chain(tuner.words.tensors());
        let learnt: BTreeMap<String, Tensor> = learnt.chain(tuner.objective.parameters()).collect();
        let learnt = learnt.into_iter();
        (learnt.map(|(_, tensor)| tensor.detach()).collect(), quality.mean_average_precision, progress)
    }

    fn learns_on_any_number_of_threads_with_any_number_of_kills(kind: ObjectiveKind) {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let (wanted, precision, progress) = tuned(folders[0].path(), kind, 1, |_| ());
        assert_eq!(progress.steps, 6);
        assert!(precision > 0.99, "mean average precision {precision}");
        let skipped: Vec<&str> = progress.skipped.keys().map(String::as_str).collect();
        assert_eq!(skipped, ["3.png"], "the unreadable one is left out, and said");
        assert!(tuned(folders[1].path(), kind, 3, |_| ()).0 == wanted, "three threads gave other weights");
        let killed = |line: &str| assert!(!line.contains("epoch  2"), "killed");
        let stopped = catch_unwind(AssertUnwindSafe(|| drop(tuned(folders[2].path(), kind, 2, killed))));
        assert!(stopped.is_err());
        let resumed = std::cell::Cell::new(false);
        let note = |line: &str| resumed.set(resumed.get() | line.contains("resuming"));
        let again = tuned(folders[2].path(), kind, 2, note);
        assert!(resumed.get() && again.0 == wanted, "resuming gave other weights");
        assert_eq!(again.2.skipped, progress.skipped);
    }

    /// One test, for the one generator of the process.
    #[test]
    fn words_and_captions_of_two_colours_are_learnt() {
        learns_on_any_number_of_threads_with_any_number_of_kills(ObjectiveKind::Words);
        learns_on_any_number_of_threads_with_any_number_of_kills(ObjectiveKind::Captions);
    }
}
