//! Scores COCO-format files and times each step: the native half of `scripts/bench/metrics.py`.
//!
//! `score references.json hypotheses.json`, images in the order of the hypotheses, all on one thread.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::time::Instant;

use metrics::bootstrap::Bootstrap;
use metrics::tokenize::caption_tokens;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

#[derive(Deserialize)]
struct References {
    annotations: Vec<Caption>,
}

#[derive(Deserialize)]
struct Caption {
    image_id: u64,
    caption: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let [references, hypotheses] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("usage: score references.json hypotheses.json".into());
    };
    let (references, hypotheses): (References, Vec<Caption>) = (read(references)?, read(hypotheses)?);
    let mut by_image: HashMap<u64, Vec<&str>> = HashMap::new();
    for reference in &references.annotations {
        by_image.entry(reference.image_id).or_default().push(&reference.caption);
    }
    let captions = hypotheses.iter().map(|image| by_image.remove(&image.image_id).unwrap_or_default());
    let captions: Vec<Vec<&str>> = captions.collect();

    let start = Instant::now();
    let references: Vec<Vec<_>> =
        captions.iter().map(|image| image.iter().map(|caption| caption_tokens(caption)).collect()).collect();
    let hypotheses: Vec<_> = hypotheses.iter().map(|image| caption_tokens(&image.caption)).collect();
    let tokenized = Instant::now();
    let evaluation = metrics::score(&references, &hypotheses)?;
    let scored = Instant::now();
    let intervals = Bootstrap::default().intervals(std::slice::from_ref(&evaluation))?;
    let seconds = json!({
        "tokenize": (tokenized - start).as_secs_f64(),
        "score": (scored - tokenized).as_secs_f64(),
        "intervals": scored.elapsed().as_secs_f64(),
    });
    let found = json!({ "corpus": evaluation.corpus, "images": evaluation.images, "intervals": intervals, "seconds": seconds });
    writeln!(std::io::stdout(), "{found}")?;
    Ok(())
}

fn read<T: DeserializeOwned>(path: &str) -> Result<T, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(serde_json::from_slice(&bytes).map_err(|error| format!("{path}: {error}"))?)
}
