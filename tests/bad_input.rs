//! Damaged files and wrong settings: a counted skip with its reason, or an error that says what to do.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use artifacts::features::FeaturePart;
use artifacts::{Manifest, Split};
use dataset::Dataset;
use evaluate::Evaluate;
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, Rgb, RgbImage};
use pipeline_tests::{Workspace, message};
use preprocess::Preprocess;
use text::Text;
use train::Train;

const TRAIN: &str = r#"
[text]
min_count = 1
[train]
decoders = ["lstm"]
epochs = 1
lstm = { embedding_size = 8, feature_size = 8, hidden_size = 8 }
[preprocess]
backbone = "resnet18"
max_bad_fraction = 0.5
"#;

fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn jpeg(shade: u8) -> Vec<u8> {
    let image = RgbImage::from_fn(80, 60, |x, y| Rgb([x as u8 * 3, y as u8 * 4, shade]));
    encoded(&image, ImageFormat::Jpeg)
}

fn animation(frames: &[&RgbImage]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for &frame in frames {
        let frame = DynamicImage::ImageRgb8(frame.clone()).into_rgba8();
        encoder.encode_frame(Frame::new(frame)).unwrap();
    }
    drop(encoder);
    bytes
}

/// A PNG whose header promises 60,000×60,000 pixels.
fn huge_png() -> Vec<u8> {
    let header: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0";
    let checksum = [0x0f, 0xb0, 0xe2, 0x15];
    [header, &checksum, b"\0\0\0\x10IDAT"].concat()
}

/// A folder with a table of images: `good` sound ones, then `bad` files under the names given.
fn table(workspace: &Workspace, good: usize, bad: &[(&str, Vec<u8>)]) {
    let raw = workspace.path("raw");
    fs::create_dir(&raw).unwrap();
    let mut csv = "image,caption,split\n".to_owned();
    for number in 0..good {
        fs::write(raw.join(format!("good{number}.jpg")), jpeg(number as u8 * 9)).unwrap();
        let split = if number % 4 == 0 { "val" } else { "train" };
        csv += &format!("good{number}.jpg,a picture of number {number},{split}\n");
    }
    for (name, bytes) in bad {
        fs::write(raw.join(name), bytes).unwrap();
        csv += &format!("{name},a bad picture,train\n");
    }
    fs::write(raw.join("captions.csv"), csv).unwrap();
}

fn table_workspace() -> Workspace {
    let workspace = Workspace::new(TRAIN).with_weights("resnet18");
    let config = workspace.path("config.toml");
    let root = workspace.path("raw/captions.csv");
    let dataset =
        format!("[dataset]\nlayout = \"table\"\nroot = \"{}\"\nmax_bad_fraction = 0.6\n", root.display());
    fs::write(&config, fs::read_to_string(&config).unwrap() + &dataset).unwrap();
    workspace
}

fn warnings(folder: &Path) -> Vec<String> {
    let warnings = Manifest::read(folder).unwrap().warnings;
    warnings.into_iter().map(|warning| format!("{}: {}", warning.subject, warning.reason)).collect()
}

#[test]
fn bad_images_are_skipped_and_named_with_their_reason() {
    let workspace = table_workspace();
    let whole = jpeg(1);
    let bad = [
        ("truncated.jpg", whole[..whole.len() / 2].to_vec()),
        ("empty.jpg", Vec::new()),
        ("diary.jpg", b"Dear diary, no picture today.".to_vec()),
        ("huge.png", huge_png()),
    ];
    table(&workspace, 8, &bad);
    let message = message(workspace.run::<Dataset>(&["dataset.max_bad_fraction=0.1"]));
    assert!(message.contains("4 of 12") && message.contains("max_bad_fraction"), "{message}");

    workspace.run::<Dataset>(&[]).unwrap();
    let warnings = warnings(&workspace.run_folder().dataset());
    let reason = |name: &str| warnings.iter().find(|warning| warning.starts_with(name)).unwrap().clone();
    assert_eq!(warnings.len(), 4);
    assert!(reason("truncated.jpg").contains("cut short"));
    assert!(reason("empty.jpg").contains("empty"));
    assert!(reason("diary.jpg").contains("not an image"));
    assert!(reason("huge.png").contains("60000×60000"));
}

#[test]
fn an_image_damaged_inside_is_skipped_by_extraction_and_scores_nothing() {
    let workspace = table_workspace();
    table(&workspace, 8, &[]);
    workspace.run::<Dataset>(&[]).unwrap();
    // Changed behind the dataset stage's back: its features would be those of another image.
    fs::write(workspace.path("raw/good0.jpg"), jpeg(200)).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder();
    let features = folder.features("resnet18");
    let skipped = warnings(&features);
    assert_eq!(skipped.len(), 1);
    assert!(skipped[0].contains("good0.jpg: skipped: changed since"), "{skipped:?}");
    let manifest = Manifest::read(&features).unwrap();
    assert_eq!(manifest.outputs[0].rows, Some(7));

    workspace.run::<Text>(&[]).unwrap();
    workspace.run::<Train>(&[]).unwrap();
    workspace.run::<Evaluate>(&[]).unwrap();
    let missing = warnings(&folder.evaluate("resnet18-lstm", Split::Val));
    assert_eq!(missing.len(), 1, "the image without features counts, with a score of 0");
    assert!(missing[0].starts_with("good0: has no caption"), "{missing:?}");
}

#[test]
fn odd_images_that_a_viewer_opens_are_used() {
    let workspace = table_workspace();
    let png = |image: &RgbImage| encoded(image, ImageFormat::Png);
    let first = RgbImage::from_fn(60, 40, |x, _| Rgb(if x < 20 { [250, 10, 10] } else { [10, 10, 250] }));
    let odd = [
        ("really-a-png.jpg", png(&first)),
        ("moving.gif", animation(&[&first, &RgbImage::from_pixel(60, 40, Rgb([0, 255, 0]))])),
        ("dot.png", png(&RgbImage::from_pixel(1, 1, Rgb([9, 99, 199])))),
        ("wide.jpg", encoded(&RgbImage::from_pixel(1000, 20, Rgb([9, 99, 199])), ImageFormat::Jpeg)),
        ("tall.png", png(&RgbImage::from_pixel(20, 1000, Rgb([9, 99, 199])))),
    ];
    table(&workspace, 2, &odd);
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder();
    assert!(warnings(&folder.dataset()).is_empty());
    let features = folder.features("resnet18");
    assert!(warnings(&features).is_empty());

    let file = Manifest::read(&features).unwrap().outputs.remove(0).file;
    let part = FeaturePart::open(&features.join(file)).unwrap();
    let grid = |id: &str| {
        let mut grid = Vec::new();
        let row = part.keys.iter().position(|key| key.image_id == id).unwrap();
        part.grid(row, &mut grid).unwrap();
        grid
    };
    assert_eq!(part.keys.len(), 7);
    assert!(part.keys.iter().all(|key| grid(&key.image_id).iter().all(|value| value.is_finite())));
    assert!(grid("moving") == grid("really-a-png"), "an animation is its first frame");
    assert!(grid("dot") == grid("tall"), "one colour is one colour in any shape");
}

#[test]
fn an_image_that_only_extraction_finds_unusable_is_counted_there() {
    let workspace = table_workspace();
    let mut damaged =
        encoded(&RgbImage::from_fn(90, 70, |x, y| Rgb([x as u8, y as u8, 7])), ImageFormat::Png);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 20].fill(0xaa);
    table(&workspace, 8, &[("damaged.png", damaged)]);
    workspace.run::<Dataset>(&[]).unwrap();
    assert!(warnings(&workspace.run_folder().dataset()).is_empty(), "its header is sound");
    fs::remove_file(workspace.path("raw/good1.jpg")).unwrap();
    fs::remove_file(workspace.path("raw/good2.jpg")).unwrap();
    fs::create_dir(workspace.path("raw/good2.jpg")).unwrap();

    let message = message(workspace.run::<Preprocess>(&["preprocess.max_bad_fraction=0.3"]));
    assert!(
        message.contains("3 of 9 images") && message.contains("good1.jpg: skipped: cannot be read"),
        "{message}"
    );
    workspace.run::<Preprocess>(&[]).unwrap();
    let skipped = warnings(&workspace.run_folder().features("resnet18"));
    let reason = |name: &str| skipped.iter().find(|warning| warning.starts_with(name)).unwrap().clone();
    assert_eq!(skipped.len(), 3);
    assert!(reason("good1.jpg").contains("cannot be read"));
    assert!(reason("good2.jpg").contains("a folder, not a file"));
    assert!(reason("damaged.png").contains("damaged: "));
}

#[cfg(unix)]
#[test]
fn what_is_no_readable_file_is_counted_with_its_reason() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let workspace = table_workspace();
    table(&workspace, 8, &[("locked.jpg", jpeg(1)), ("gone.jpg", jpeg(1))]);
    let raw = workspace.path("raw");
    fs::remove_file(raw.join("gone.jpg")).unwrap();
    symlink("itself.jpg", raw.join("itself.jpg")).unwrap();
    symlink(".", raw.join("around.jpg")).unwrap();
    fs::create_dir(raw.join("folder.jpg")).unwrap();
    fs::set_permissions(raw.join("locked.jpg"), fs::Permissions::from_mode(0o000)).unwrap();
    let csv = raw.join("captions.csv");
    let rows = ["itself.jpg", "around.jpg", "folder.jpg", "around.jpg/around.jpg/good1.jpg"];
    let rows = rows.map(|name| format!("{name},a bad picture,train\n")).concat();
    fs::write(&csv, fs::read_to_string(&csv).unwrap() + &rows).unwrap();

    workspace.run::<Dataset>(&[]).unwrap();
    let warnings = warnings(&workspace.run_folder().dataset());
    let reason = |name: &str| warnings.iter().find(|warning| warning.starts_with(name)).unwrap().clone();
    assert!(reason("gone.jpg").contains("file not found; its caption is left out"));
    assert!(reason("itself.jpg").contains("cannot be opened: "));
    assert!(reason("around.jpg:").contains("a folder, not a file"));
    assert!(reason("folder.jpg").contains("a folder, not a file"));
    let locked = fs::read(raw.join("locked.jpg")).is_err().then_some("locked.jpg");
    let locked = needs::machine("a user who may not read every file", locked);
    assert_eq!(warnings.len(), 4 + usize::from(locked.is_some()));
    if let Some(locked) = locked {
        assert!(reason(locked).contains("cannot be read: "));
    }
    // A loop is walked as far as the table says, and no further.
    let (_, images) = workspace.images();
    assert!(images.iter().any(|row| row.image_id == "around.jpg/around.jpg/good1.jpg"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_name_that_is_no_text_is_counted() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let workspace = table_workspace();
    let images = workspace.path("flickr/images");
    fs::create_dir_all(&images).unwrap();
    for (name, shade) in [("a.jpg", 50), ("b.jpg", 90), ("c.jpg", 130)] {
        fs::write(images.join(name), jpeg(shade)).unwrap();
    }
    fs::write(images.join(OsStr::from_bytes(b"caf\xe9.jpg")), jpeg(60)).unwrap();
    std::os::unix::fs::symlink(".", images.join("loop")).unwrap();
    let captions = "image,caption\na.jpg,one\nb.jpg,two\nc.jpg,three\n";
    fs::write(workspace.path("flickr/captions.csv"), captions).unwrap();
    let root = format!("dataset.root={}", workspace.path("flickr").display());
    let flickr = ["dataset.layout=flickr8k", root.as_str()];
    workspace.run::<Dataset>(&flickr).unwrap();
    let warnings = warnings(&workspace.run_folder().dataset());
    assert_eq!(warnings, ["images/caf\u{fffd}.jpg: skipped: no caption"]);
}

#[test]
fn a_table_that_names_what_it_should_not_is_refused_with_its_line() {
    let workspace = table_workspace();
    table(&workspace, 2, &[("good1.jpg.jpg", jpeg(1)), ("good1.png", jpeg(2))]);
    let refused = |csv: &[u8]| {
        fs::write(workspace.path("raw/captions.csv"), csv).unwrap();
        message(workspace.run::<Dataset>(&[]))
    };
    let outside = refused(b"image,caption\ngood0.jpg,fine\n../config.toml,not fine\n");
    assert!(
        outside.contains("captions.csv:3") && outside.contains("leaves the dataset's folder"),
        "{outside}"
    );
    let latin = refused(b"image,caption\ngood0.jpg,caf\xe9\n");
    assert!(latin.contains("captions.csv:2: not UTF-8"), "{latin}");
    let twice = refused(b"image,caption\ngood1.jpg,a\ngood1.png,b\ngood1.jpg.jpg,c\n");
    assert!(twice.contains("both get the image id `good1.jpg`"), "{twice}");
}

#[test]
fn a_table_without_a_column_or_with_broken_quotes_names_the_place() {
    let workspace = table_workspace();
    table(&workspace, 2, &[]);
    let csv = workspace.path("raw/captions.csv");
    fs::write(&csv, "image,words\ngood0.jpg,a picture\n").unwrap();
    let missing = message(workspace.run::<Dataset>(&[]));
    assert!(missing.contains("captions.csv") && missing.contains("caption"), "{missing}");
    fs::write(&csv, "image,caption\ngood0.jpg,\"a picture\ngood1.jpg,another\n").unwrap();
    let quotes = message(workspace.run::<Dataset>(&[]));
    assert!(quotes.contains("captions.csv"), "{quotes}");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let workspace = table_workspace();
    let message = message(workspace.run::<Train>(&["train.learning_rat=0.1"]));
    assert!(message.contains("did you mean `learning_rate`?"), "{message}");
}

#[test]
fn an_unknown_backbone_is_refused_with_the_nearest_one() {
    let workspace = table_workspace();
    let message = message(workspace.run::<Preprocess>(&["preprocess.backbone=resnet51"]));
    assert!(message.contains("did you mean `resnet50`?"), "{message}");
}

#[test]
fn missing_weights_and_missing_stages_say_what_to_run() {
    let workspace = table_workspace();
    table(&workspace, 4, &[]);
    assert!(message(workspace.run::<Text>(&[])).contains("run the stage that writes it"));
    workspace.run::<Dataset>(&[]).unwrap();
    let message = message(workspace.run::<Preprocess>(&["preprocess.backbone=resnet50"]));
    assert!(message.contains("just weights resnet50"), "{message}");
}

#[test]
fn half_a_checkpoint_and_features_of_another_backbone_are_refused() {
    let workspace = table_workspace();
    table(&workspace, 8, &[]);
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    workspace.run::<Text>(&[]).unwrap();
    workspace.run::<Train>(&[]).unwrap();
    let folder = workspace.run_folder();

    let checkpoint = folder.train("resnet18-lstm").join("model.safetensors");
    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
    let half = message(workspace.run::<Evaluate>(&[]));
    assert!(half.contains("model.safetensors is not a usable weight file"), "{half}");
    fs::write(&checkpoint, &bytes).unwrap();
    workspace.run::<Evaluate>(&[]).unwrap();

    // ResNet-18 features under the name of another backbone.
    let copy = folder.features("resnet34");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(folder.features("resnet18")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let foreign = message(workspace.run::<Train>(&["preprocess.backbone=resnet34"]));
    assert!(foreign.contains("made with resnet18, but resnet34 is wanted"), "{foreign}");
}
