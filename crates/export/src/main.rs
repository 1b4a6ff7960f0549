//! `export`: an evaluated model as one file that captions anywhere.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use artifacts::{Manifest, RunFolder, Split};
use clap::Parser;
use export::{Evaluated, hub, pack};
use model::captioner_file::OnnxNetworks;
use stage::cli::fail;
use stage::progress::note;
use stage::terminal::print;

/// Packs an evaluated model into one file that captions anywhere: decoders, backbones, vocabulary, image transforms, the
/// search settings that the recipe chose, where everything comes from, and how it scored.
///
/// Prints the path of what it wrote. `caption` and `serve` open it by --model.
#[derive(Parser)]
#[command(name = "export", version)]
struct Args {
    /// The run: data/runs/NAME.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Name of an evaluated model, a folder below RUN/evaluate; if none is named, the ensemble, or the model with the best
    /// CIDEr-D where there is no ensemble.
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,
    /// The split whose scores count.
    #[arg(long, value_name = "SPLIT", default_value = "val", value_parser = split)]
    split: Split,
    /// The file; RUN/export/NAME.safetensors if none is named.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Folder with the published weights of the backbones, and with ONNX networks; tuned weights lie in the run.
    #[arg(long, value_name = "FOLDER", default_value = "data/weights")]
    weights: PathBuf,
    /// Stores the numbers in half precision: a file of half the size, whose captions may differ in a word here and there.
    #[arg(long)]
    half: bool,
    /// Leaves the ONNX networks of others (preprocess.backbone = "onnx") out: the file is smaller, and captions where
    /// WEIGHTS/NAME.onnx is the file that made the features, told by its hash.
    #[arg(long)]
    without_onnx: bool,
    /// Also writes the folder that a model hub expects: the file, config.json, and a card.
    #[arg(long, value_name = "FOLDER")]
    hub: Option<PathBuf>,
}

fn split(name: &str) -> Result<Split, String> {
    Split::named(name).ok_or_else(|| "write train, val or test".to_owned())
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let run = RunFolder::new(&args.run);
    let model = Evaluated::choose(&run, args.split, args.model.as_deref())?;
    note(&format!("{model} on {}", args.split));
    let networks = if args.without_onnx { OnnxNetworks::Named } else { OnnxNetworks::Inside };
    let packed = pack::pack(&run, &model, &args.weights, networks)?;
    let captioner = if args.half { packed.in_halves() } else { packed };
    let output = match &args.output {
        Some(output) => output.clone(),
        None => run.exports().join(format!("{}.safetensors", model.name())),
    };
    pack::write(&captioner, &output)?;
    let mut written = vec![output];
    if let Some(folder) = &args.hub {
        hub::write(folder, &captioner, &model, &dataset(&run)?)?;
        written.push(folder.clone());
    }
    for path in written {
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// What people call the dataset of a run: the name of its folder or file, not where that lies.
fn dataset(run: &RunFolder) -> anyhow::Result<String> {
    let manifest = Manifest::read(&run.dataset())?;
    if manifest.is_of_scenes() {
        return Ok("drawn scenes".to_owned());
    }
    let root = PathBuf::from(manifest.recipe.settings["root"].as_str().unwrap_or_default());
    let name = root.file_stem().context("the dataset's manifest names no root")?;
    Ok(name.to_string_lossy().into_owned())
}
