//! `export`: an evaluated model as one file that captions anywhere.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use artifacts::{Manifest, RunFolder, Split};
use clap::Parser;
use export::{Evaluated, hub, onnx_folder, pack};
use model::captioner_file::{CaptionerFile, OnnxNetworks};
use model::weights;
use onnx::WeightFormat;
use stage::cli::fail;
use stage::progress::note;
use stage::terminal::print;

/// Packs an evaluated model into one file that captions anywhere: decoders, backbones, vocabulary, image transforms, the
/// search settings that the recipe chose, where everything comes from, and how it scored.
///
/// Prints the path of what it wrote. `caption` and `serve` open it by --model. With --onnx it also writes the model for programs
/// of any language; of a file that was exported before, only that.
#[derive(Parser)]
#[command(name = "export", version)]
struct Args {
    /// The run, data/runs/NAME; or, with --onnx, a file that was exported before, such as models/starter.safetensors.
    #[arg(value_name = "RUN|FILE")]
    source: PathBuf,
    /// Name of an evaluated model, a folder below RUN/evaluate; if none is named, the ensemble, or the model with the best
    /// CIDEr-D where there is no ensemble.
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,
    /// The split whose scores count; val if none is named.
    #[arg(long, value_name = "SPLIT", value_parser = split)]
    split: Option<Split>,
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
    /// Also writes a folder for programs of any language: encoder.onnx, decoder.onnx, words and settings as JSON, a README with
    /// a short program in Python, and a page that captions in the browser.
    #[arg(long, value_name = "FOLDER")]
    onnx: Option<PathBuf>,
    /// Has the two ONNX files hold their weights in bytes, with a scale for each output channel: a quarter of single precision,
    /// for captions that may differ in a word here and there.
    #[arg(long, requires = "onnx")]
    int8: bool,
}

impl Args {
    /// How the ONNX files hold their weights.
    fn weight_format(&self) -> WeightFormat {
        if self.int8 { WeightFormat::Int8 } else { WeightFormat::Exact }
    }

    /// The first option that only has a meaning for a run.
    fn of_a_run(&self) -> Option<&'static str> {
        let options = [
            ("--model", self.model.is_some()),
            ("--split", self.split.is_some()),
            ("--output", self.output.is_some()),
            ("--half", self.half),
            ("--without-onnx", self.without_onnx),
            ("--hub", self.hub.is_some()),
        ];
        options.iter().find(|(_, given)| *given).map(|&(name, _)| name)
    }
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
    let written = if args.source.is_file() { of_file(args)? } else { of_run(args)? };
    for path in written {
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// The folder of ONNX files of an older export.
fn of_file(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    let file = args.source.display();
    if let Some(option) = args.of_a_run() {
        bail!("{file} is a file: {option} is for runs");
    }
    let folder = args.onnx.as_ref();
    let folder =
        folder.with_context(|| format!("{file} is a file: name the --onnx folder to write, or a run"))?;
    let captioner = CaptionerFile::from_arrays(weights::read(&args.source)?)?;
    onnx_folder::write(folder, &captioner, args.weight_format())?;
    Ok(vec![folder.clone()])
}

fn of_run(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(args.source.exists(), "{} is not there: name a run, or a file for --onnx", args.source.display());
    let (run, split) = (RunFolder::new(&args.source), args.split.unwrap_or(Split::Val));
    let model = Evaluated::choose(&run, split, args.model.as_deref())?;
    note(&format!("{model} on {split}"));
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
    if let Some(folder) = &args.onnx {
        onnx_folder::write(folder, &captioner, args.weight_format())?;
        written.push(folder.clone());
    }
    Ok(written)
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
