//! `report.html`: the scores, and a gallery that shows for every word where the model looked.
//!
//! One file without outside parts, so that it can be mailed or put on a server as it is. Photos are small JPEGs inside it,
//! in script elements that the browser keeps as plain text until a card comes into view; attention is numbers, drawn
//! on a canvas.

use std::io::{Cursor, Write};

use anyhow::Context;
use artifacts::atomic;
use artifacts::results::CaptionResult;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::codecs::jpeg::JpegEncoder;
use imaging::attention::View;
use metrics::Scores;
use rayon::prelude::*;
use scoring::text::{self, is_headline, shown};
use scoring::{ScoreFile, Sheet};
use serde::Serialize;
use serde_json::Value;
use stage::guard::Work;

use crate::captioned::{Beam, Captioned};
use crate::decode::Seen;
use crate::references::{Reference, References};
use crate::view;

/// File name in the evaluation folder.
pub(crate) const FILE: &str = "report.html";

const TEMPLATE: &str = include_str!("report.html");
/// Where the data and the photos go in the template.
const PLACES: [&str; 2] = ["<!--DATA-->", "<!--PHOTOS-->"];
/// Longer side of a photo in pixels, and its JPEG quality: about 12 KB per photo.
const PHOTO: u32 = 280;
const QUALITY: u8 = 75;

/// The images of a report, side by side with what the model wrote of them.
#[derive(Clone, Copy)]
pub(crate) struct Gallery<'a> {
    pub(crate) captions: &'a [Captioned],
    pub(crate) references: &'a References,
    pub(crate) scores: &'a [Scores],
    pub(crate) seen: &'a Seen,
    /// The name of a guest and what it wrote of each, where there is one.
    pub(crate) guest: Option<(&'a str, &'a [CaptionResult])>,
}

impl Gallery<'_> {
    /// The first `count` images.
    pub(crate) fn first(self, count: usize) -> Self {
        let captions = &self.captions[..count.min(self.captions.len())];
        Gallery { captions, ..self }
    }
}

#[derive(Serialize)]
struct Data<'a> {
    model: &'a str,
    protocol: Vec<String>,
    facts: Vec<String>,
    /// The columns of the table.
    metrics: Vec<Column>,
    systems: Vec<System<'a>>,
    /// Name of the guest whose captions the cards hold.
    guest: Option<&'a str>,
    grid: [usize; 2],
    /// Images of the split, of which the gallery may show fewer.
    images: usize,
    cards: Vec<Card<'a>>,
}

#[derive(Serialize)]
struct Column {
    key: &'static str,
    name: &'static str,
    /// Whether cards show it and can be sorted by it.
    headline: bool,
}

#[derive(Serialize)]
struct System<'a> {
    name: &'a str,
    scores: &'a Scores,
    intervals: &'a Scores<[f64; 2]>,
}

#[derive(Serialize)]
struct Card<'a> {
    id: &'a str,
    words: Vec<&'a str>,
    log_probability: f64,
    finished: bool,
    /// Of the headline metrics.
    scores: Scores,
    references: &'a [String],
    /// What the guest says.
    guest: Option<&'a str>,
    beams: Vec<(&'a str, f64, bool)>,
    /// Width and height of the photo in the report; `None` when it could not be read.
    size: Option<[u32; 2]>,
    /// What of the photo the network saw, as shares of its sides: left, top, right, bottom.
    seen: [f64; 4],
    /// For each word a byte per region, 255 where it looks most; base64.
    attention: String,
}

/// Writes the report; `beside` are the systems that the model stands beside in the table.
pub(crate) fn write(
    work: &mut Work,
    file: &ScoreFile,
    beside: &[ScoreFile],
    gallery: Gallery<'_>,
) -> anyhow::Result<String> {
    let images: Vec<(&Captioned, &Reference)> = gallery.captions.iter().zip(&gallery.references.0).collect();
    let photos: Vec<anyhow::Result<Photo>> =
        images.par_iter().map(|(_, reference)| Photo::read(reference, gallery.seen)).collect();
    for ((captioned, _), photo) in images.iter().zip(&photos) {
        if let Err(error) = photo {
            work.warn(&captioned.image_id, format!("has no photo in the report: {error:#}"));
        }
    }
    let systems: Vec<&ScoreFile> = [file].into_iter().chain(beside).collect();
    let columns = shown(systems.iter().map(|system| &system.sheet.scores)).into_iter();
    let mut protocol = text::protocol(&file.protocol);
    protocol.extend(text::not_computed(systems.iter().map(|system| &system.sheet)));
    let cards = images.iter().zip(&photos).zip(gallery.scores).enumerate();
    let guest = |at: usize| Some(gallery.guest?.1.get(at)?.caption.as_str());
    let data = Data {
        model: &file.model,
        protocol,
        facts: text::facts(file),
        metrics: columns
            .map(|metric| Column {
                key: metric.key(),
                name: metric.name(),
                headline: is_headline(metric) && file.sheet.scores.get(metric).is_some(),
            })
            .collect(),
        systems: systems.into_iter().map(system).collect(),
        guest: gallery.guest.map(|(name, _)| name),
        grid: gallery.seen.grid,
        images: gallery.references.0.len(),
        cards: cards
            .map(|(at, ((image, photo), scores))| card(image, photo.as_ref().ok(), scores, guest(at)))
            .collect(),
    };
    let data = script_text(&serde_json::to_value(&data)?);
    atomic::write(&work.path(FILE), |out| {
        let (head, rest) = TEMPLATE.split_once(PLACES[0]).unwrap_or((TEMPLATE, ""));
        let (middle, tail) = rest.split_once(PLACES[1]).unwrap_or((rest, ""));
        write!(out, "{head}<script type=\"application/json\" id=\"data\">{data}</script>{middle}")?;
        for (number, photo) in photos.iter().enumerate() {
            if let Ok(photo) = photo {
                let text = BASE64_STANDARD.encode(&photo.jpeg);
                writeln!(out, "<script type=\"text/plain\" id=\"photo-{number}\">{text}</script>")?;
            }
        }
        out.write_all(tail.as_bytes())
    })
    .context("cannot write the report")?;
    Ok(FILE.to_owned())
}

struct Photo {
    jpeg: Vec<u8>,
    size: [u32; 2],
    seen: [f64; 4],
}

impl Photo {
    fn read(reference: &Reference, seen: &Seen) -> anyhow::Result<Photo> {
        let View { photo, seen } = view::open(&reference.photo, &seen.transform, PHOTO)?;
        let mut jpeg = Cursor::new(Vec::new());
        photo.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))?;
        Ok(Photo { jpeg: jpeg.into_inner(), size: [photo.width(), photo.height()], seen })
    }
}

fn system(file: &ScoreFile) -> System<'_> {
    let Sheet { scores, intervals, .. } = &file.sheet;
    System { name: &file.model, scores, intervals }
}

fn card<'a>(
    image: &(&'a Captioned, &'a Reference),
    photo: Option<&Photo>,
    scores: &Scores,
    guest: Option<&'a str>,
) -> Card<'a> {
    let (captioned, reference) = image;
    let beam = |beam: &'a Beam| (beam.caption.as_str(), beam.log_probability, beam.finished);
    let shades = captioned.attention.iter().flat_map(|look| {
        let most = look.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        look.iter().map(move |share| (255.0 * share / most).round() as u8)
    });
    Card {
        id: &captioned.image_id,
        words: captioned.best.caption.split(' ').filter(|word| !word.is_empty()).collect(),
        log_probability: captioned.best.log_probability,
        finished: captioned.best.finished,
        scores: scores.iter().filter(|(metric, _)| is_headline(*metric)).collect(),
        references: &reference.captions,
        guest,
        beams: [&captioned.best].into_iter().chain(&captioned.others).map(beam).collect(),
        size: photo.map(|photo| photo.size),
        seen: photo.map_or([0.0, 0.0, 1.0, 1.0], |photo| photo.seen),
        attention: BASE64_STANDARD.encode(shades.collect::<Vec<u8>>()),
    }
}

/// JSON that can stand in a script element: `<` is written so that no text can end the element or open a comment.
fn script_text(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests;
