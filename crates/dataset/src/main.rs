//! The `dataset` stage on the command line, and the demo scenes as a folder of their own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use artifacts::{Recipe, objects, table};
use clap::Subcommand;
use dataset::{Dataset, demo};
use stage::Context;
use stage::cli::{self, StageArgs};
use stage::progress::Progress;

#[derive(Subcommand)]
enum Command {
    /// Writes what the dataset will hold, without reading an image: what `--check --preview FILE` of other stages reads.
    Preview {
        /// The file to write.
        file: PathBuf,
        #[command(flatten)]
        stage: StageArgs,
    },
    /// Draws demo scenes into a folder: images/, captions.csv (a `table` layout) and objects.parquet.
    Scenes {
        /// Made if it is not there; files of the same names are replaced.
        folder: PathBuf,
        /// How many scenes to draw.
        #[arg(long, default_value_t = 100)]
        count: usize,
        /// Decides every scene; more scenes of a seed begin with the same ones.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    cli::main_with_commands::<Dataset, cli::NoFlags, Command>(|command| match command {
        Command::Preview { file, stage } => preview(&file, &stage),
        Command::Scenes { folder, count, seed } => scenes(&folder, count, seed),
    })
}

fn preview(file: &Path, args: &StageArgs) -> anyhow::Result<()> {
    let recipe = Recipe::new("preview", 1, &serde_json::Value::Null)?;
    Ok(dataset::preview(&Context::load(args)?)?.write(file, &recipe)?)
}

fn scenes(folder: &Path, count: usize, seed: u64) -> anyhow::Result<()> {
    let progress = Progress::new("dataset", "scenes", count, false);
    let demo = demo::draw(folder, count, seed, &progress)?;
    let path = folder.join("captions.csv");
    let mut csv = csv::Writer::from_path(&path).with_context(|| path.display().to_string())?;
    csv.write_record(["image", "caption"])?;
    for caption in &demo.dataset.captions {
        csv.write_record([&format!("images/{}.png", caption.image_id), &caption.caption])?;
    }
    csv.flush()?;
    let recipe = Recipe::new("scenes", 1, &serde_json::json!({ "count": count, "seed": seed }))?;
    table::write(&folder.join(objects::FILE), &demo.objects, &recipe, &[])?;
    Ok(())
}
