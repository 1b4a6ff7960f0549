//! The `dataset` stage on the command line, public sets by their names, and the demo scenes as a folder of their own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use artifacts::{Recipe, objects, table};
use clap::Subcommand;
use dataset::fetch::{self, Fetcher, Set};
use dataset::{Dataset, demo};
use stage::Context;
use stage::cli::{self, StageArgs};
use stage::progress::{Progress, note};
use stage::terminal::print;

#[derive(Subcommand)]
enum Command {
    /// Fetches a public captioning set, after saying how large it is and under which terms; without a name lists the sets.
    Fetch(FetchArgs),
    /// Writes what the dataset will hold, without reading an image: what `--check --preview FILE` of other stages reads.
    Preview {
        /// The file to write.
        file: PathBuf,
        #[command(flatten)]
        stage: StageArgs,
    },
    /// Draws demo scenes into a folder: scenes/, captions.csv (a `table` layout) and objects.parquet.
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

#[derive(clap::Args)]
struct FetchArgs {
    /// One of the sets that `dataset fetch` alone lists.
    name: Option<String>,
    /// Where to put it, data/raw/NAME unless told; what is there already is not fetched again.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// A mirror: an address below which the same files lie by their names.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// How often a file is tried again where a try brought nothing, after rests of 1, 2, 4 … s.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    retries: u32,
    /// Prints errors, and what to do next.
    #[arg(short, long)]
    quiet: bool,
}

fn main() -> ExitCode {
    cli::main_with_commands::<Dataset, cli::NoFlags, Command>(|command| match command {
        Command::Fetch(args) => fetch(&args),
        Command::Preview { file, stage } => preview(&file, &stage),
        Command::Scenes { folder, count, seed } => scenes(&folder, count, seed),
    })
}

fn fetch(args: &FetchArgs) -> anyhow::Result<()> {
    let Some(name) = &args.name else { return Ok(print(&fetch::list())?) };
    let set = Set::named(name)?;
    let root = args.into.clone().unwrap_or_else(|| Path::new("data/raw").join(name));
    let say = |line: &str| {
        if !args.quiet {
            note(line);
        }
    };
    let (mirror, retries, quiet) = (args.from.as_deref(), args.retries, args.quiet);
    Fetcher { set, root: &root, mirror, retries, quiet, say: &say }.run()?;
    say("What next:");
    Ok(print(&set.next(&root))?)
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
        csv.write_record([&format!("{}/{}.png", demo::FOLDER, caption.image_id), &caption.caption])?;
    }
    csv.flush()?;
    let recipe = Recipe::new("scenes", 1, &serde_json::json!({ "count": count, "seed": seed }))?;
    table::write(&folder.join(objects::FILE), &demo.objects, &recipe, &[])?;
    Ok(())
}
