use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use artifacts::Split;
use artifacts::features::FeatureSpec;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::Vocabulary;
use half::f16;
use model::decoder::{DecoderConfig, HardAttentionConfig, SoftAttentionConfig};
use torch::grids::GridStore;
use torch::precision::Precision;
use torch::pretrained::Pretrained;

use super::*;
use crate::settings::SelfCriticalSettings;

static ALONE: Mutex<()> = Mutex::new(());

fn spec() -> FeatureSpec {
    FeatureSpec {
        backbone: "tiny".to_owned(),
        view: Default::default(),
        weights: Default::default(),
        weights_sha256: String::new(),
        onnx: None,
        transform: serde_json::Value::Null,
        grid: [1, 2],
        channels: 3,
    }
}

fn features() -> GridStore {
    let ids = (0..6).map(|number| number.to_string()).collect();
    GridStore::resident(spec(), ids, (0..36).map(|value| f16::from_f32((value % 7) as f32)).collect())
}

fn examples() -> Examples {
    let file = tempfile::tempfile().unwrap();
    Examples::new(features(), None, captions().into_iter().map(Ok), file, true).unwrap()
}

fn captions() -> Vec<TokenRow> {
    let row = |number: u32| TokenRow {
        image_id: number.to_string(),
        caption_id: number.into(),
        split: Split::Train,
        words: ["one", "two"].map(str::to_owned).to_vec(),
        ids: vec![1, 4 + number % 3, 4 + number / 2, 2],
        length: 4,
    };
    (0..6).map(row).collect()
}

fn validation() -> Validation {
    Validation::new(features(), captions().into_iter().map(Ok), 6).unwrap()
}

/// Decoders that draw in training: soft attention its dropout, hard attention also where to look.
fn decoders() -> [DecoderConfig; 2] {
    let soft = SoftAttentionConfig {
        embedding_size: 4,
        feature_size: 4,
        hidden_size: 4,
        attention_size: 4,
        ..Default::default()
    };
    let hard = HardAttentionConfig {
        embedding_size: 4,
        feature_size: 4,
        hidden_size: 4,
        attention_size: 4,
        ..Default::default()
    };
    [DecoderConfig::SoftAttention(soft), DecoderConfig::HardAttention(hard)]
}

fn header(decoder: &DecoderConfig, words: &[&str]) -> Header {
    Header {
        decoder: decoder.clone(),
        vocabulary: Vocabulary::new(words.iter().map(|&word| word.to_owned())).unwrap(),
        features: vec![spec()],
        provenance: serde_json::Value::Null,
    }
}

/// A checkpoint of other words, to start from.
fn pretrained(decoder: &DecoderConfig, path: &Path) -> Pretrained {
    let header = header(decoder, &["three", "four", "one"]);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let store = VarStore::new(Device::Cpu);
    torch::decoder::build(decoder, &store.root(), header.dimensions(), Precision::F32).unwrap();
    torch::checkpoint::save(path, &header, &store).unwrap();
    Pretrained::read(path).unwrap()
}

/// Trains three epochs on words and two on whole captions; `note` hears of each. Returns the kept checkpoint and
/// the last logged line.
fn train(
    decoder: &DecoderConfig,
    start: Option<&Pretrained>,
    folder: &Path,
    note: impl Fn(&str),
) -> (Vec<u8>, String) {
    try_train(decoder, start, folder, note, 2, || Ok(())).unwrap()
}

/// The same on so many threads; `stop` is asked after each step.
fn try_train(
    decoder: &DecoderConfig,
    start: Option<&Pretrained>,
    folder: &Path,
    note: impl Fn(&str),
    threads: usize,
    stop: impl Fn() -> Result<(), Stopped>,
) -> anyhow::Result<(Vec<u8>, String)> {
    let self_critical = SelfCriticalSettings { epochs: 2, batch_images: 2, ..Default::default() };
    let settings = Settings {
        epochs: 3,
        batch_images: 2,
        patience: 9,
        label_smoothing: 0.1,
        weight_decay: 0.01,
        average_decay: 0.9,
        scheduled_sampling: 0.5,
        self_critical,
        ..Settings::default()
    };
    let header = header(decoder, &["one", "two", "three"]);
    // Tests run side by side already.
    tch::set_num_threads(1);
    // Other tests draw from libtorch's generator too, which belongs to the process.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(1);
    let store = VarStore::new(Device::Cpu);
    let decoder = match start {
        Some(file) => file.decoder(decoder).unwrap().build(&store, &header, Precision::F32).unwrap().0,
        None => torch::decoder::build(decoder, &store.root(), header.dimensions(), Precision::F32).unwrap(),
    };
    let (examples, validation) = (examples(), validation());
    let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let trainer = Trainer {
        settings: &settings,
        seed: 1,
        device: Device::Cpu,
        quiet: true,
        folder,
        earlier: Some(folder),
        state: State(folder.join("state")),
        warm: start.is_some(),
        header,
        decoder,
        store,
        examples: &examples,
        validation: &validation,
        threads: &threads,
        team: &Team::join(settings.micro_batches, &mut Device::Cpu).unwrap(),
        stop: &stop,
        note: &note,
    };
    let trained = trainer.run("recipe")?.done;
    assert_eq!(trained.steps, 3 * trained.epochs);
    let published = std::fs::read(folder.join(checkpoint::FILE)).unwrap();
    // What whoever commits the training does.
    std::fs::remove_dir_all(folder.join("state")).unwrap();
    let log = std::fs::read_to_string(folder.join(learn::LOG_FILE)).unwrap();
    let without_seconds = log.lines().last().unwrap().split("seconds").next().unwrap().to_owned();
    Ok((published, without_seconds))
}

#[test]
fn the_number_of_threads_and_any_stop_change_nothing() {
    for decoder in decoders() {
        let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
        let go_on = || Ok(());
        let on = |threads: usize| {
            try_train(&decoder, None, folders[threads].path(), |_| (), threads, go_on).unwrap()
        };
        let wanted = on(1);
        assert!([2, 3].iter().all(|&threads| on(threads) == wanted), "{decoder:?}: cores change the result");
        // Stopped at every third step: inside of epochs and at their ends, in both phases.
        let mut stops = 0;
        let ended = loop {
            let asked = std::cell::Cell::new(0);
            let stop = || {
                asked.set(asked.get() + 1);
                if asked.get() == 4 { Err(Stopped { signal: 15 }) } else { Ok(()) }
            };
            match try_train(&decoder, None, folders[0].path(), |_| (), 2, stop) {
                Ok(ended) => break ended,
                Err(error) => assert!(error.downcast_ref::<Stopped>().is_some(), "{error:#}"),
            }
            stops += 1;
        };
        assert_eq!((stops, ended == wanted), (3, true), "{decoder:?}: stops change the result");
    }
}

#[test]
fn a_finished_cross_entropy_phase_is_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let decoder = &decoders()[0];
    let epochs = std::cell::Cell::new(0);
    let count = |line: &str| epochs.set(epochs.get() + usize::from(line.contains("epoch ")));
    let wanted = train(decoder, None, folder.path(), count);
    assert_eq!(epochs.replace(0), 5);
    let again = train(decoder, None, folder.path(), count);
    assert_eq!(epochs.get(), 2);
    assert!(wanted.0 == again.0, "another start of the second phase gave other weights");
}

#[test]
fn an_interrupted_run_ends_like_an_undisturbed_one() {
    for decoder in decoders() {
        let files = tempfile::tempdir().unwrap();
        let pretrained = pretrained(&decoder, &files.path().join("start"));
        let train = |start: bool, folder: &Path, note: &dyn Fn(&str)| {
            train(&decoder, start.then_some(&pretrained), folder, note)
        };
        let [anew, warm] = [false, true].map(|start| {
            let undisturbed = tempfile::tempdir().unwrap();
            let wanted = train(start, undisturbed.path(), &|_| ());
            for killed_in in ["epoch  2", "epoch  4"] {
                let interrupted = tempfile::tempdir().unwrap();
                let stopped = catch_unwind(AssertUnwindSafe(|| {
                    train(start, interrupted.path(), &|line| assert!(!line.contains(killed_in), "killed"));
                }));
                assert!(stopped.is_err() && interrupted.path().join("state").exists());
                let resumed = train(start, interrupted.path(), &|line| assert!(!line.contains(killed_in)));
                assert!(wanted == resumed, "{decoder:?}: resuming changed {} to {}", wanted.1, resumed.1);
            }
            wanted
        });
        assert_ne!(anew, warm);
    }
}
