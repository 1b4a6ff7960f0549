//! How intervals and p-values are drawn.

use metrics::bootstrap::Bootstrap;

/// The draws of the bootstrap, on the command line.
#[derive(clap::Args)]
pub(super) struct Draws {
    /// Draws of the bootstrap.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    resamples: u32,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = Bootstrap::default().seed)]
    seed: u64,
}

impl Draws {
    pub(super) fn bootstrap(&self) -> Bootstrap {
        Bootstrap { resamples: self.resamples as usize, seed: self.seed }
    }
}
