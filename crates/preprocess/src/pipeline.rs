//! Images in, parts out: decoding threads, network threads and a writer, joined by bounded channels.
//!
//! Each network thread has its own handle on the network, with the engine's inner threads off: on a CPU, independent
//! batches share nothing, so no core waits for another. The channels bound what is in flight to a few batches and
//! two parts, whatever the number of images. The first images are decoded while the network is loaded.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, available_parallelism};
use std::time::Instant;

use anyhow::Context as _;
use crossbeam_channel::bounded;
use rayon::ThreadPoolBuilder;
use rayon::iter::{ParallelBridge, ParallelIterator};
use stage::progress::Progress;

use crate::engine::Network;
use crate::extract::{Decoder, Pixels, features};
use crate::parts::{Batch, FullPart, Writer};

/// Requests of one worker that wait side by side.
const READERS_PER_WORKER: usize = 8;
const NO_THREAD: &str = "cannot start a thread";

/// Threads per step.
#[derive(Clone, Copy)]
pub(crate) struct Threads {
    decoders: usize,
    networks: usize,
}

impl Threads {
    /// What `workers` asks for, 0 being one per core. A GPU takes one batch after the other anyway; whoever reads images that have a
    /// way to go mostly waits for them.
    pub(crate) fn new(workers: usize, on_gpu: bool, is_remote: bool) -> Threads {
        let cores = available_parallelism().map_or(1, usize::from);
        let workers = if workers == 0 { cores } else { workers };
        let decoders = if is_remote { READERS_PER_WORKER * workers } else { workers };
        Threads { decoders, networks: if on_gpu { 1 } else { workers } }
    }
}

/// Computes and writes all that `writer` wants with the network that `load` gives.
pub(crate) fn run(
    decoder: &Decoder,
    load: impl FnOnce() -> anyhow::Result<Network>,
    Threads { decoders, networks }: Threads,
    mut writer: Writer,
    progress: &Progress,
) -> anyhow::Result<Waits> {
    let pool = ThreadPoolBuilder::new().num_threads(decoders).build()?;
    let waits = Waits::new(decoders, networks);
    let batches = writer.batches(decoder.at_once);
    let pen = writer.pen();
    let (decoded, to_network) = bounded::<Pixels>(2 * networks);
    let (computed, to_collector) = bounded::<anyhow::Result<(Batch, _)>>(2 * networks);
    let (full, to_pen) = sync_channel::<FullPart>(1);
    let bytes = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (pool, waits, bytes) = (&pool, &waits, &bytes);
        // A thread that the system refuses is an error, where `scope.spawn` would panic.
        let failed = computed.clone();
        let started = Builder::new().spawn_scoped(scope, move || {
            pool.install(|| {
                // The bridge hands batches out in order, so parts fill one after the other. When nobody wants
                // pixels any more, somebody else failed, and says why.
                let _ = batches.par_bridge().try_for_each(|batch: Result<Batch, _>| {
                    let batch = batch.map_err(|error| drop(failed.send(Err(error.into()))))?;
                    let pixels = decoder.decode(batch);
                    waits.decoders.time(|| decoded.send(pixels)).map_err(drop)
                });
            });
        });
        started.context(NO_THREAD)?;
        let network = load()?;
        for network in std::iter::repeat_n(network, networks) {
            let (to_network, computed) = (to_network.clone(), computed.clone());
            let started = Builder::new().spawn_scoped(scope, move || {
                let mut network = match network.worker() {
                    Ok(network) => network,
                    Err(error) => return drop(computed.send(Err(error.into()))),
                };
                waits.ready.mark(waits);
                while let Ok(pixels) = waits.networks.time(|| to_network.recv()) {
                    let features = features(&mut network, &pixels, decoder.at_once);
                    waits.first.mark(waits);
                    let failed = features.is_err();
                    let images = pixels.batch.places.len();
                    let read = bytes.fetch_add(pixels.bytes, Ordering::Relaxed) + pixels.bytes;
                    let features =
                        features.map(|features| (pixels.batch, features)).map_err(anyhow::Error::from);
                    if computed.send(features).is_err() || failed {
                        return;
                    }
                    progress.message(format!("{:.1} MB/s", read as f64 / 1e6 / progress.seconds().max(1e-9)));
                    progress.add(images);
                }
            });
            started.context(NO_THREAD)?;
        }
        drop((to_network, computed));
        let written = Builder::new().spawn_scoped(scope, move || -> anyhow::Result<()> {
            while let Ok(part) = waits.writer.time(|| to_pen.recv()) {
                pen.write(part)?;
            }
            Ok(())
        });
        let written = written.context(NO_THREAD)?;
        let mut collect = || -> anyhow::Result<()> {
            loop {
                let Ok(features) = to_collector.recv() else { return Ok(()) };
                let (batch, features) = features?;
                if let Some(part) = writer.accept(batch, features)
                    && full.send(part).is_err()
                {
                    return Ok(()); // the writer failed, and says why below
                }
            }
        };
        let collected = collect();
        waits.last.mark(waits);
        // Whoever still sends must not wait for ever.
        drop((full, to_collector));
        let written = written.join().map_err(|_| anyhow::anyhow!("the Parquet writer panicked"))?;
        collected.and(written)
    })?;
    waits.written.mark(&waits);
    Ok(waits)
}

/// When the steps began and ended, and the share of their time that threads of each kind spent waiting for their neighbours.
pub(crate) struct Waits {
    decoders: Clock,
    networks: Clock,
    writer: Clock,
    started: Instant,
    /// A first network is loaded and ready.
    ready: Mark,
    /// Features of first images are there.
    first: Mark,
    /// Features of the last images are there.
    last: Mark,
    /// The last part is on the disk.
    written: Mark,
}

/// Seconds from the start to the first time that something happened.
#[derive(Default)]
struct Mark(OnceLock<f64>);

impl Mark {
    fn mark(&self, waits: &Waits) {
        self.0.get_or_init(|| waits.started.elapsed().as_secs_f64());
    }
}

struct Clock {
    threads: usize,
    nanoseconds: AtomicU64,
}

impl Waits {
    fn new(decoders: usize, networks: usize) -> Waits {
        let clock = |threads| Clock { threads, nanoseconds: AtomicU64::new(0) };
        Waits {
            decoders: clock(decoders),
            networks: clock(networks),
            writer: clock(1),
            started: Instant::now(),
            ready: Mark::default(),
            first: Mark::default(),
            last: Mark::default(),
            written: Mark::default(),
        }
    }
}

impl Clock {
    fn time<T>(&self, wait: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = wait();
        self.nanoseconds.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        value
    }
}

impl Waits {
    /// What people are told of it.
    pub(crate) fn lines(&self) -> [String; 2] {
        let elapsed = self.started.elapsed().as_nanos() as f64;
        let share = |clock: &Clock| {
            let waited = clock.nanoseconds.load(Ordering::Relaxed) as f64;
            100.0 * waited / (elapsed * clock.threads as f64)
        };
        let [decoders, networks, writer] = [&self.decoders, &self.networks, &self.writer].map(share);
        let marks = [&self.ready, &self.first, &self.last, &self.written];
        let [ready, first, last, written] = marks.map(|mark| mark.0.get().copied().unwrap_or_default());
        [
            format!(
                "after {ready:.2} s the network was ready, after {first:.2} s the first images were through it, after \
                 {last:.2} s the last; after {written:.2} s all were written"
            ),
            format!(
                "waiting: decoding {decoders:.0} % of its time, the network {networks:.0} %, writing {writer:.0} %"
            ),
        ]
    }
}
