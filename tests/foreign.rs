//! Any ONNX network is a backbone: from its file to captions, and what of a file or its settings is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use artifacts::Manifest;
use artifacts::features::{FeatureSet, Layout};
use caption::{Captioner, Options};
use dataset::Dataset;
use model::weights::{Array, Dtype};
use pipeline_tests::{Workspace, message, program};
use preprocess::Preprocess;
use preprocess::inspect::{self, Request};
use serde_json::Value;
use tune::Tune;

use crate::captions::{CONFIG, trained_in};
use crate::export::{export, exported, photos, refused, written};

const NAME: &str = "tiny_vit";
const TABLE: &str = r#"
[preprocess.onnx]
name = "tiny_vit"
regions = "tokens"
drop_tokens = 1
resize = 36
crop = 32
interpolation = "bilinear"
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
"#;

/// A network that torch.onnx exported, or one that nobody could use.
fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/onnx/tests/foreign");
    folder.join(name).with_extension("onnx")
}

/// A workspace whose backbone is a vision transformer in a file of the folder of weights.
fn workspace() -> Workspace {
    let config = CONFIG.replace("backbone = \"resnet18\"", "backbone = \"onnx\"");
    let workspace = Workspace::new(&(config + TABLE)).with_weights("resnet18");
    fs::copy(fixture("vit"), workspace.path("weights/tiny_vit.onnx")).unwrap();
    workspace
}

fn open(model: &Path, weights: PathBuf) -> Result<Captioner, String> {
    Captioner::open(model, &Options { weights }).map_err(|error| error.to_string())
}

#[test]
fn a_vision_transformer_makes_features_that_are_trained_on_and_goes_with_the_export() {
    let workspace = trained_in(workspace(), &[]);
    let folder = workspace.run_folder().features(NAME);
    let spec = FeatureSet::open_named(&folder, NAME).unwrap().spec().clone();
    assert_eq!((spec.grid, spec.channels), ([4, 4], 24));
    let file = workspace.path("weights/tiny_vit.onnx");
    assert_eq!(spec.weights_sha256, model::weights::sha256_file(&file).unwrap());
    let output = spec.onnx.unwrap();
    assert_eq!((output.output.as_str(), output.regions, output.drop_tokens), ("tokens", Layout::Tokens, 1));
    let manifest = Manifest::read(&folder).unwrap();
    let inputs: Vec<&String> = manifest.recipe.inputs.keys().collect();
    assert_eq!(inputs, ["dataset/images", "weights/tiny_vit"]);
    let request = Request { folder, like: None, neighbours: 0, sheet: None, json: true };
    let shown = inspect::inspect(&request).unwrap().to_string();
    assert!(
        shown.contains("made by    tiny_vit, view centre, output `tokens` of the ONNX file sha256:"),
        "{shown}"
    );
    assert!(workspace.run::<Preprocess>(&[]).unwrap()[0].up_to_date);

    // With its network inside, the captioner needs no folder of weights.
    let wanted = written(&workspace, "tiny_vit-soft_attention");
    let path = PathBuf::from(exported(&workspace, &[]).trim());
    let bytes = model::weights::read(&path).unwrap().arrays()["backbones.tiny_vit.onnx"].bytes().to_vec();
    assert!(bytes == fs::read(&file).unwrap());
    let nowhere = workspace.path("nowhere");
    let captioner = open(&path, nowhere.clone()).unwrap();
    // A checkpoint does not know how captions are searched.
    let search = captioner.search_settings().clone();
    let captions_of = |captioner: &Captioner| -> Vec<String> {
        let captioned = captioner.caption(&photos(captioner, &wanted), &search).unwrap();
        captioned.iter().map(|photo| photo.best().caption.clone()).collect()
    };
    assert!(captions_of(&captioner).iter().eq(wanted.values()));
    let foreign = workspace.path("foreign");
    let refusal = refused(&workspace, &["--onnx", foreign.to_str().unwrap()]);
    assert!(refusal.contains("reads features of tiny_vit") && !foreign.exists(), "{refusal}");
    // A captioner of anyone may hold anything.
    let held = model::weights::read(&path).unwrap();
    let bad = [
        ("bad/external", "lie outside the file"),
        ("bad/two_inputs", "takes one array"),
        ("bad/nan", "gives no `tokens`"),
        ("convnext", "takes images of 64×64 pixels"),
    ];
    for (bad, reason) in bad {
        let mut arrays = held.arrays().clone();
        let bytes = fs::read(fixture(bad)).unwrap();
        let array = Array::new(Dtype::U8, vec![bytes.len() as i64], bytes).unwrap();
        arrays.insert("backbones.tiny_vit.onnx".to_owned(), array);
        let file = workspace.path("bad.safetensors");
        model::weights::write_safetensors(&file, &arrays, held.metadata()).unwrap();
        let said = open(&file, nowhere.clone()).err().unwrap();
        assert!(said.contains("bad.safetensors: the ") && said.contains(reason), "{bad}: {said}");
    }
    let half = workspace.path("half.safetensors");
    exported(&workspace, &["--half", "--output", half.to_str().unwrap()]);
    captions_of(&open(&half, nowhere.clone()).unwrap());

    // Without it, it takes the file of that name, if it is the one that made the features.
    let hub = workspace.path("hub");
    let args = ["--without-onnx", "--hub", hub.to_str().unwrap()];
    let named = PathBuf::from(exported(&workspace, &args).lines().next().unwrap());
    assert!(!model::weights::read(&named).unwrap().has("backbones.tiny_vit.onnx"));
    let card = fs::read_to_string(hub.join("README.md")).unwrap();
    assert!(card.contains("It also needs `data/weights/tiny_vit.onnx` (SHA-256 "), "{card}");
    let config: Value = serde_json::from_slice(&fs::read(hub.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["features"][0]["onnx"]["regions"], "tokens");
    assert_eq!(config["parameters"]["backbones"], 0);
    let checkpoint = workspace.run_folder().train("tiny_vit-soft_attention").join("model.safetensors");
    for model in [&named, &checkpoint] {
        let captioner = open(model, workspace.path("weights")).unwrap();
        assert!(captions_of(&captioner).iter().eq(wanted.values()), "{}", model.display());
    }
    let anywhere = workspace.path("anywhere.safetensors");
    fs::copy(&named, &anywhere).unwrap();
    let absent = open(&anywhere, nowhere).err().unwrap();
    assert!(
        absent.contains("nowhere/tiny_vit.onnx is not there") && absent.contains("just export"),
        "{absent}"
    );
    fs::copy(fixture("vit_one"), &file).unwrap();
    let other = open(&anywhere, workspace.path("weights")).err().unwrap();
    assert!(
        other.contains("tiny_vit.onnx has SHA-256") && other.contains("was trained on features of"),
        "{other}"
    );
    let refused = refused(&workspace, &[]);
    assert!(refused.contains("was trained on features of"), "{refused}");
}

#[test]
fn a_network_stands_beside_ours_and_its_file_may_lie_anywhere() {
    let workspace = workspace();
    let file = workspace.path("elsewhere/some.onnx");
    fs::create_dir(workspace.path("elsewhere")).unwrap();
    fs::rename(workspace.path("weights/tiny_vit.onnx"), &file).unwrap();
    let set = format!("preprocess.onnx.file={}", file.display());
    let overrides =
        ["preprocess.backbone=[\"resnet18\", \"onnx\"]", &set, "preprocess.views=[\"centre\", \"flip\"]"];
    let workspace = trained_in(workspace, &overrides);
    for set in ["resnet18", "resnet18.flip", "tiny_vit", "tiny_vit.flip"] {
        FeatureSet::open_named(&workspace.run_folder().features(set), set).unwrap();
    }
    let wanted = written(&workspace, "resnet18+tiny_vit-soft_attention");
    // The run knows where its network lay.
    let path = PathBuf::from(exported(&workspace, &[]).trim());
    let captioner = open(&path, workspace.path("nowhere")).unwrap();
    let captions = captioner.caption(&photos(&captioner, &wanted), captioner.search_settings()).unwrap();
    assert!(captions.iter().map(|photo| &photo.best().caption).eq(wanted.values()));
    fs::remove_file(&file).unwrap();
    let output = export(&workspace, &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("weights/tiny_vit.onnx is not there"), "{said}");
}

#[test]
fn what_no_backbone_can_be_made_of_is_refused_by_the_check_and_the_finished_set_stays() {
    let workspace = workspace();
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder().features(NAME);
    let finished = fs::read(folder.join("_manifest.json")).unwrap();
    let refusal = |overrides: &[&str]| message(workspace.context(overrides).unwrap().checked::<Preprocess>());
    let tuned = |set| message(workspace.context(&[set]).unwrap().checked::<Tune>());
    assert!(
        tuned("preprocess.weights=tuned").contains("an ONNX network cannot be tuned, it is \"published\"")
    );
    let said = tuned("tune.for.tiny_vit.epochs=1");
    assert!(said.contains("`tune.for.tiny_vit`: an ONNX network cannot be tuned"), "{said}");
    let cut = workspace.path("cut.onnx");
    let whole = fs::read(fixture("vit")).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let files = [
        (workspace.path("none.onnx"), "onnx.file", "none.onnx is not there: put the network's file there"),
        (workspace.path("weights"), "onnx.file", "no ordinary file"),
        (cut, "onnx.file", "cut.onnx: no whole ONNX file, export or fetch it again"),
        (workspace.path("config.toml"), "onnx.file", "config.toml: no whole ONNX file"),
        (fixture("bad/external"), "onnx.file", "networks with weights outside the file are not read"),
        (fixture("bad/external_nested"), "onnx.file", "the weights `hidden` lie outside the file"),
        (fixture("bad/operator"), "onnx.file", "Nonesuch"),
        (fixture("bad/domain"), "onnx.file", "my.company"),
        (fixture("bad/future"), "onnx.file", "999"),
        (fixture("bad/huge_input"), "onnx.file", "12 GB; at most 1.1 GB"),
        (fixture("bad/huge_output"), "onnx.file", "12 GB; at most 1.1 GB"),
        (fixture("bad/nan"), "onnx.file", "nan.onnx: the network gives numbers that are not finite"),
        (fixture("bad/two_inputs"), "onnx.file", "a backbone takes one array"),
        (fixture("bad/vector"), "onnx.regions", "output `grid` is [1, 3]"),
        (fixture("bad/whole"), "onnx.output", "is no array of f32"),
    ];
    for (file, key, wanted) in &files {
        let file = format!("preprocess.onnx.file={}", file.display());
        let layout = ["preprocess.onnx.regions=channels_first", "preprocess.onnx.drop_tokens=0", &file];
        let said = refusal(&layout);
        assert!(
            said.contains(&format!("`preprocess.{key}`")) && said.contains(wanted),
            "{said}\nis not: {wanted}"
        );
    }
    let settings = [
        ("preprocess.onnx.name=", "onnx.name", "give the network a name"),
        ("preprocess.onnx.name=../vit", "onnx.name", "letters, digits"),
        ("preprocess.onnx.name=vit.tuned", "onnx.name", "letters, digits"),
        ("preprocess.onnx.name=resnet50", "onnx.name", "`resnet50` is a backbone of this program"),
        ("preprocess.onnx.nmae=vit", "onnx.nmae", "did you mean `name`?"),
        ("preprocess.weights=tuned", "weights", "an ONNX network cannot be tuned"),
        ("preprocess.onnx.output=grid", "onnx.output", "gives no `grid`: it gives `tokens: f32 [?, 17, 24]`"),
        ("preprocess.onnx.regions=channels_first", "onnx.drop_tokens", "must be 0"),
        (
            "preprocess.onnx.regions=rows",
            "onnx.regions",
            "expected one of `channels_first`, `channels_last`, `tokens`",
        ),
        ("preprocess.onnx.drop_tokens=0", "onnx.grid", "17 regions are left of 17 tokens, which is not 4×4"),
        ("preprocess.onnx.drop_tokens=17", "onnx.drop_tokens", "leaves none of them"),
        ("preprocess.onnx.grid=[4]", "onnx.grid", "write [rows, columns]"),
        ("preprocess.onnx.grid=[3, 5]", "onnx.grid", "16 regions are left of 17 tokens, which is not 3×5"),
        ("preprocess.onnx.crop=24", "onnx.crop", "takes images of 32×32 pixels, but is shown 24×24"),
        ("preprocess.onnx.crop=40", "onnx.crop", "1 ≤ crop ≤ resize"),
        ("preprocess.onnx.std=[1, 0, 1]", "onnx.std", "finite and above 0"),
        ("preprocess.onnx.interpolation=nearest", "onnx.interpolation", "expected `bilinear` or `bicubic`"),
        ("preprocess.views=[\"large\"]", "onnx.crop", "view large: the network takes images of 32×32"),
    ];
    for (set, key, wanted) in settings {
        let said = match workspace.context(&[set]).and_then(|context| context.checked::<Preprocess>()) {
            Ok(_) => panic!("{set} passed"),
            Err(error) => format!("{error:#}"),
        };
        assert!(said.contains(&format!("`preprocess.{key}`")) && said.contains(wanted), "{set}: {said}");
    }
    assert_eq!(fs::read(folder.join("_manifest.json")).unwrap(), finished);
    // Other rows and columns are other features.
    assert!(!workspace.run::<Preprocess>(&["preprocess.onnx.grid=[2, 8]"]).unwrap()[0].up_to_date);
    assert_eq!(FeatureSet::open(&folder).unwrap().spec().grid, [2, 8]);

    let fetch = |name: &str| {
        let mut command = Command::new(program("preprocess"));
        command.args(["weights", name, "--config"]).arg(workspace.path("config.toml"));
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    for name in ["onnx", NAME] {
        let said = fetch(name);
        assert!(
            said.contains("of an ONNX network cannot be fetched: put it where preprocess.onnx.file says"),
            "{said}"
        );
    }
    assert!(preprocess::fetch_weights(&workspace.context(&[]).unwrap()).unwrap().is_empty());
}

#[test]
fn one_image_at_a_time_and_convolutions_make_features_too() {
    let workspace = workspace();
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    let pooled = |name: &str| {
        let set = FeatureSet::open(&workspace.run_folder().features(name)).unwrap();
        set.rows().flat_map(|row| row.unwrap().pooled).map(|value| value.to_f32()).collect::<Vec<f32>>()
    };
    let one = format!("preprocess.onnx.file={}", fixture("vit_one").display());
    workspace.run::<Preprocess>(&[&one, "preprocess.onnx.name=one", "preprocess.engine=torch"]).unwrap();
    let (many, one) = (pooled(NAME), pooled("one"));
    assert!(many.iter().zip(&one).all(|(many, one)| (many - one).abs() < 0.01));
    let convnext = format!("preprocess.onnx.file={}", fixture("convnext").display());
    let overrides = [
        &convnext,
        "preprocess.onnx.name=convnext",
        "preprocess.onnx.regions=channels_first",
        "preprocess.onnx.drop_tokens=0",
        "preprocess.onnx.resize=72",
        "preprocess.onnx.crop=64",
    ];
    workspace.run::<Preprocess>(&overrides).unwrap();
    let spec = FeatureSet::open(&workspace.run_folder().features("convnext")).unwrap().spec().clone();
    assert_eq!((spec.grid, spec.channels, spec.onnx.unwrap().output.as_str()), ([2, 2], 24, "grid"));
}
