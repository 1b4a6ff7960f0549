//! The `preprocess` stage on the command line, and what goes with it: backbones, their weights, a look at features.

use std::process::ExitCode;

use clap::Subcommand;
use model::backbone::BackboneSpec;
use model::weights;
use preprocess::{Preprocess, adopt, inspect, part};
use stage::cli::{self, StageArgs};
use stage::terminal::{print, print_json};
use stage::{Context, RunSettings, Sources, Stage};

/// glibc's allocator gives large tensors back to the system after each batch; this one keeps them, for libtorch too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(clap::Args)]
struct Flags {
    /// Makes a share of the parts, for one of n machines that write into one folder; i counts from 0.
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Makes part K of every set alone, counted from 0, unless it is complete. A run without it writes the manifest when all
    /// parts are there. While another process makes the part, it waits.
    #[arg(long, value_name = "K", conflicts_with = "shard")]
    part: Option<usize>,
}

impl cli::Flags for Flags {
    fn overrides(&self) -> Vec<String> {
        self.shard.iter().map(|shard| format!("preprocess.shard=\"{shard}\"")).collect()
    }

    fn part(&self) -> Option<usize> {
        self.part
    }
}

#[derive(Subcommand)]
enum Command {
    /// Lists the backbones: input, grid and channels, parameters, and where their weights come from.
    Backbones,
    /// Fetches or converts the published weights of a backbone, or of those that a config wants them of, and checks them.
    Weights(Wanted),
    /// Says how many parts the sets of a config have, and which are complete: for what hands them out to workers.
    #[command(mut_arg("json", |arg| arg.help("Prints a JSON object: `parts`, how many; `complete`, the numbers of those that \
                                              are; and both of every set in `sets`")))]
    Parts(StageArgs),
    /// Takes over features that another program made of the dataset's images, to train on (docs/features.md).
    Adopt(adopt::Request),
    /// Shows what a set of features holds, and the images most like a given one.
    Inspect(inspect::Request),
}

#[derive(clap::Args)]
struct Wanted {
    /// A backbone of the list; without one, those of the config.
    backbone: Option<String>,
    #[command(flatten)]
    stage: StageArgs,
}

fn main() -> ExitCode {
    cli::main_with_commands::<Preprocess, Flags, Command>(|command| match command {
        Command::Backbones => list_backbones(),
        Command::Weights(wanted) => fetch(&wanted),
        Command::Parts(stage) => list_parts(&stage),
        Command::Adopt(request) => take_over(&request),
        Command::Inspect(request) => show(&request),
    })
}

fn list_backbones() -> anyhow::Result<()> {
    let mut list = String::new();
    for spec in BackboneSpec::all() {
        let crop = spec.transform.crop;
        let side = spec.grid(crop);
        let sources: Vec<String> = spec.sources.iter().map(ToString::to_string).collect();
        let shape = format!("{side}×{side}×{}", spec.channels);
        let parameters = spec.parameters as f64 / 1e6;
        let (name, sources) = (spec.name, sources.join(", or "));
        list += &format!("{name:<20} {crop} px → {shape:<12} {parameters:>4.1} M  {sources}\n");
    }
    Ok(print(&list)?)
}

fn fetch(wanted: &Wanted) -> anyhow::Result<()> {
    let paths = match &wanted.backbone {
        // Anywhere: what a configuration could say is where the file belongs.
        Some(name) if wanted.stage.lack_config() => {
            vec![weights::ensure(BackboneSpec::named(name)?, &RunSettings::default().weights)?]
        }
        Some(name) => {
            let context = Context::load(&wanted.stage)?;
            let sources: Sources = context.config.part(Preprocess::NAME)?;
            let foreign = name == "onnx" || sources.onnx(name).is_some();
            anyhow::ensure!(
                !foreign,
                "{name}: the file of an ONNX network cannot be fetched: put it where preprocess.onnx.file says"
            );
            vec![weights::ensure(BackboneSpec::named(name)?, &context.run.weights)?]
        }
        None => preprocess::fetch_weights(&Context::load(&wanted.stage)?)?,
    };
    for path in paths {
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

fn list_parts(stage: &StageArgs) -> anyhow::Result<()> {
    let report = part::list(&Context::load(stage)?)?;
    if stage.json { print_json(&report) } else { Ok(print(&report.lines())?) }
}

fn take_over(request: &adopt::Request) -> anyhow::Result<()> {
    let context = Context::load(&request.stage)?;
    let outcome = adopt::adopt(request, &context)?;
    cli::report::<Preprocess>(&[outcome], &request.stage, &context)
}

fn show(request: &inspect::Request) -> anyhow::Result<()> {
    let report = inspect::inspect(request)?;
    if request.json { print_json(&report) } else { Ok(print(&format!("{report}\n"))?) }
}
