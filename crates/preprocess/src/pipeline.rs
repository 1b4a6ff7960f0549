//! Images in, parts out: decoding threads, network threads and a writer, joined by bounded channels.
//!
//! Each network thread has its own handle on the network, with libtorch's inner threads off: on a CPU, independent
//! batches share nothing, so no core waits for another. The channels bound what is in flight to a few batches and
//! two parts, whatever the number of images.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, available_parallelism};
use std::time::Instant;

use anyhow::Context as _;
use crossbeam_channel::bounded;
use rayon::ThreadPoolBuilder;
use rayon::iter::{ParallelBridge, ParallelIterator};
use stage::progress::Progress;
use torch::grids::Extractor;

use crate::extract::{Batch, Decoder, Pixels, features};
use crate::parts::{FullPart, Writer};

const NO_THREAD: &str = "cannot start a thread";

/// Computes and writes all that `writer` wants, with `workers` threads per step (0: one per core).
pub(crate) fn run(
    decoder: &Decoder,
    extractor: &Extractor,
    workers: usize,
    mut writer: Writer,
    progress: &Progress,
) -> anyhow::Result<Waits> {
    let cores = available_parallelism().map_or(1, usize::from);
    let decoders = if workers == 0 { cores } else { workers };
    // A GPU takes one batch after the other anyway.
    let networks = if extractor.device().is_cuda() { 1 } else { decoders };
    let pool = ThreadPoolBuilder::new().num_threads(decoders).build()?;
    let waits = Waits::new(decoders, networks);
    let batches = writer.batches(extractor.squares().at_once());
    let pen = writer.pen();
    let (decoded, to_network) = bounded::<Pixels>(2 * networks);
    let (computed, to_collector) = bounded(2 * networks);
    let (full, to_pen) = sync_channel::<FullPart>(1);
    let bytes = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (pool, waits, bytes) = (&pool, &waits, &bytes);
        // A thread that the system refuses is an error, where `scope.spawn` would panic.
        let started = Builder::new().spawn_scoped(scope, move || {
            pool.install(|| {
                // The bridge hands batches out in order, so parts fill one after the other. When nobody wants
                // pixels any more, somebody else failed, and says why.
                let _ = batches.into_iter().par_bridge().try_for_each(|batch: Batch| {
                    let pixels = decoder.decode(batch);
                    waits.decoders.time(|| decoded.send(pixels))
                });
            });
        });
        started.context(NO_THREAD)?;
        for extractor in std::iter::repeat_with(|| extractor.clone()).take(networks) {
            let (to_network, computed) = (to_network.clone(), computed.clone());
            let started = Builder::new().spawn_scoped(scope, move || {
                // Each thread is one thread of libtorch, too.
                torch::threads::single();
                while let Ok(pixels) = waits.networks.time(|| to_network.recv()) {
                    let features = features(&extractor, &pixels);
                    let failed = features.is_err();
                    let images = pixels.batch.images.len();
                    let read = bytes.fetch_add(pixels.bytes, Ordering::Relaxed) + pixels.bytes;
                    if computed.send((pixels.batch, features)).is_err() || failed {
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
                for part in writer.full() {
                    if full.send(part).is_err() {
                        return Ok(()); // the writer failed, and says why below
                    }
                }
                let Ok((batch, features)) = to_collector.recv() else { return Ok(()) };
                writer.accept(&batch, features?);
            }
        };
        let collected = collect();
        // Whoever still sends must not wait for ever.
        drop((full, to_collector));
        let written = written.join().map_err(|_| anyhow::anyhow!("the Parquet writer panicked"))?;
        collected.and(written)
    })?;
    Ok(waits)
}

/// The share of their time that threads of each kind spent waiting for their neighbours.
pub(crate) struct Waits {
    decoders: Clock,
    networks: Clock,
    writer: Clock,
    started: Instant,
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

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.started.elapsed().as_nanos() as f64;
        let share = |clock: &Clock| {
            let waited = clock.nanoseconds.load(Ordering::Relaxed) as f64;
            100.0 * waited / (elapsed * clock.threads as f64)
        };
        let [decoders, networks, writer] = [&self.decoders, &self.networks, &self.writer].map(share);
        write!(
            f,
            "waiting: decoding {decoders:.0} % of its time, the network {networks:.0} %, writing {writer:.0} %"
        )
    }
}
