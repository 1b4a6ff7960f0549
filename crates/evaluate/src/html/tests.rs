use std::path::Path;
use std::sync::Arc;

use artifacts::{Locator, Recipe};
use image::{Rgb, RgbImage};
use images::ImageSource;
use metrics::MeteorSource;
use metrics::bootstrap::Bootstrap;
use metrics::tokenize::caption_tokens;
use pipeline_tests::browser::Browser;
use scoring::{Measure, Protocol};
use serde_json::json;
use stage::guard::{Begin, Making, begin};

use super::*;
use crate::references::Photo;

const IMAGES: usize = 1000;
/// Text that would become markup, or end the data, if anything were not escaped.
const HOSTILE: &str = "</script><img src=x onerror=\"document.body.dataset.broken=1\"><!-- & \u{2028}";

#[test]
fn no_text_ends_the_script_element() {
    let text = script_text(&json!({ "caption": HOSTILE }));
    assert!(!text.contains('<'));
    let back: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(back["caption"], HOSTILE);
}

#[test]
fn the_template_has_its_places_in_order_and_loads_nothing() {
    let at = PLACES.map(|place| TEMPLATE.find(place).unwrap());
    assert!(at[0] < at[1]);
    for outside in ["http:", "https:", "src=\"", "@import", "fetch("] {
        assert!(!TEMPLATE.contains(outside), "{outside}");
    }
}

/// What people say of image `number`; words that all images share would be worth nothing to CIDEr-D.
fn right(number: usize) -> [String; 5] {
    ["a", "dog", "runs", "on", &format!("day{number}")].map(str::to_owned)
}

/// Photos twice as wide as high; image `n` says `n % 4` wrong words, and looks at region `word` of 2 × 2 for each word.
fn report(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("photo.png");
    RgbImage::from_fn(80, 40, |x, _| Rgb([x as u8 * 3, 90, 200])).save(&path).unwrap();
    let source = Arc::new(ImageSource::open(folder.to_str().unwrap()).unwrap());
    let reference = |number: usize| {
        let captions = vec![right(number).join(" "), HOSTILE.to_owned()];
        let tokens = captions.iter().map(|caption| caption_tokens(caption)).collect();
        let name = if number == 7 { "missing.png" } else { "photo.png" };
        let photo = Photo { source: source.clone(), locator: Locator::file(name) };
        Reference { image_id: format!("image-{number}"), photo, captions, tokens }
    };
    let references = References((0..IMAGES).map(reference).collect());
    let captioned = |number: usize| {
        let mut words = right(number);
        words[..number % 4].fill("no".to_owned());
        let mut captioned = Captioned::given(&format!("image-{number}"), &words.join(" "));
        captioned.best.log_probability = -(number as f64);
        let other = Beam { caption: HOSTILE.to_owned(), log_probability: -9.5, finished: false };
        captioned.others = vec![other];
        let look =
            |word: usize| -> Arc<[f32]> { (0..4).map(|k| f32::from(u8::from(k == word % 4))).collect() };
        captioned.attention = (0..5).map(look).collect();
        captioned
    };
    let captions: Vec<Captioned> = (0..IMAGES).map(captioned).collect();
    let tokens = references.tokens();
    let hypotheses: Vec<_> = captions.iter().map(|image| caption_tokens(&image.best.caption)).collect();
    let bootstrap = Bootstrap { resamples: 20, seed: 1 };
    let measure = Measure { bootstrap, meteor: MeteorSource::None, train: None };
    let (sheet, evaluation) = measure.sheet(&tokens, &hypotheses).unwrap();
    let file = ScoreFile {
        model: format!("model {HOSTILE}"),
        id: None,
        protocol: Protocol::new(None, &tokens, sheet.scores.metrics()),
        sheet,
        unfinished: 0,
        grounding: None,
        details: json!({}),
        inputs: json!({}),
    };
    let beside = ScoreFile { model: "blind".to_owned(), ..serde_json::from_value(json!(file)).unwrap() };
    let transform = json!({
        "resize": 40, "crop": 40, "interpolation": "bilinear", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
    });
    let seen = Seen { transform: serde_json::from_value(transform).unwrap(), grid: [2, 2] };
    let folder = &folder.join("evaluation");
    let Begin::Work(mut work) =
        begin(folder, Recipe::new("test", 1, &json!({})).unwrap(), false, Making::Anew).unwrap()
    else {
        panic!("expected work");
    };
    let said: Vec<CaptionResult> = (0..IMAGES)
        .map(|number| CaptionResult {
            image_id: format!("image-{number}"),
            caption: format!("{HOSTILE} {number}"),
        })
        .collect();
    let gallery = Gallery {
        captions: &captions,
        references: &references,
        scores: &evaluation.images,
        seen: &seen,
        guest: Some(("guest", &said)),
    };
    assert_eq!(write(&mut work, &file, &[beside], gallery).unwrap(), FILE);
    let manifest = work.finish(&[FILE], Default::default()).unwrap();
    assert_eq!(manifest.warnings.len(), 1);
    assert!(manifest.warnings[0].reason.contains("missing.png"), "{:?}", manifest.warnings);
    folder.join(FILE)
}

const READER: &str = include_str!("reader.js");

#[test]
fn a_reader_sees_where_the_model_looked_in_a_real_browser() {
    let folder = tempfile::tempdir().unwrap();
    let page = report(folder.path());
    let Some(mut browser) = Browser::open(&format!("file://{}", page.display()), 1200, 900) else { return };
    let found = browser.value(READER);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    assert_eq!(found["broken"], Value::Null, "text became markup");
    assert_eq!(found["title"], format!("model {HOSTILE}"));
    assert_eq!(found["rows"], 3, "a header, the model and the blind floor");
    assert_eq!(found["cards"], IMAGES);
    let filled = found["filled"].as_u64().unwrap();
    assert!((3..IMAGES as u64 / 2).contains(&filled), "{filled} cards are filled before anyone scrolls");
    assert_eq!(found["worst"], "no no no on day3");
    assert_eq!(found["best"], "a dog runs on day0");
    let details = found["details"].as_str().unwrap();
    assert!(details.contains("a dog runs on day3") && details.contains("2 references"), "{details}");
    assert!(details.contains("(-9.50, cut)") && details.contains(HOSTILE), "{details}");
    let guest = found["guest"].as_str().unwrap();
    assert!(guest.starts_with("guest: ") && guest.contains(HOSTILE), "{guest}");
    assert_eq!(found["photo"], PHOTO);

    let shades = |key: &str| -> Vec<u64> {
        found[key].as_array().unwrap().iter().map(|shade| shade.as_u64().unwrap()).collect()
    };
    assert_eq!(found["dark"], 0, "nothing is dark before a word is chosen");
    let [here, right, below, unseen] = shades("looks")[..] else { panic!("{found}") };
    assert!(here < 20 && right > 180 && below > 180, "{found}");
    assert_eq!(unseen, 204, "what the crop left out is dark");
    assert!(shades("next")[0] > 180 && shades("next")[1] < 20, "{found}");
    assert_eq!(found["now"], "no");
    assert!(shades("pointed")[0] > 180 && shades("pointed")[1] < 20, "{found}");
    assert_eq!(found["named"], 111, "image-7, image-70 to image-79, image-700 to image-799");
    assert_eq!(found["without_photo"], 0);
}
