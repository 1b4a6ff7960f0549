//! The captions are read back by a parser of their own and held against the boxes; the boxes against the pixels.

use std::collections::{HashMap, HashSet};

use image::{Rgb, RgbImage};

use super::scene::{Arrangement, Plan};
use super::world::{Color, Place};
use super::{Object, SIDE, draw, generate, generate_one, grammar, rng_of, scene};

const SEED: u64 = 7;
/// Scenes that are sampled and described but not drawn.
const PLANS: u64 = 1200;
/// Scenes that are drawn: dozens of milliseconds each without optimisation.
const PICTURES: u64 = 40;

fn plans() -> impl Iterator<Item = (Plan, [String; 5])> {
    (0..PLANS).map(|index| {
        let mut rng = rng_of(index, SEED);
        let plan = scene::sample(&mut rng);
        let captions = grammar::describe(&plan, &mut rng);
        (plan, captions)
    })
}

#[test]
fn a_scene_depends_on_seed_and_index_alone() {
    let few: Vec<_> = generate(3, SEED).collect();
    let more: Vec<_> = generate(6, SEED).collect();
    assert_eq!(few, more[..3]);
    assert_eq!(few[2], generate_one(2, SEED));
    assert_ne!(few[0].image, generate_one(0, SEED + 1).image);
    assert_ne!(few[0].captions, generate_one(0, SEED + 1).captions);
}

#[test]
fn the_png_holds_the_picture() {
    let scene = generate_one(0, SEED);
    let png = scene.png().unwrap();
    assert_eq!(png, generate_one(0, SEED).png().unwrap());
    assert_eq!(image::load_from_memory(&png).unwrap().into_rgb8(), scene.image);
}

#[test]
fn boxes_are_inside_the_picture_and_apart() {
    for (plan, _) in plans() {
        let objects = plan.objects();
        assert!((1..=4).contains(&objects.len()));
        for (index, object) in objects.iter().enumerate() {
            let [x0, y0, x1, y1] = object.bbox;
            assert!(0.0 <= x0 && x1 <= SIDE as f32 && 0.0 <= y0 && y1 <= SIDE as f32, "{plan:?}");
            assert!(x1 - x0 > 15.0 && y1 - y0 > 15.0, "{plan:?}");
            let stacked = plan.arrangement == Arrangement::On;
            let overlap = objects[..index].iter().any(|other| overlap(object.bbox, other.bbox) > 0.0);
            assert!(stacked || !overlap, "{plan:?}");
        }
    }
}

/// Shared area in square pixels.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let wide = a[2].min(b[2]) - a[0].max(b[0]);
    let high = a[3].min(b[3]) - a[1].max(b[1]);
    wide.max(0.0) * high.max(0.0)
}

#[test]
fn boxes_hold_what_is_drawn_and_its_color() {
    for index in 0..PICTURES {
        let mut rng = rng_of(index, SEED);
        let mut plan = scene::sample(&mut rng);
        let picture = draw::draw(&plan, &mut rng.clone());
        let objects = plan.objects();
        plan.items.clear();
        let empty = draw::draw(&plan, &mut rng);

        let changed: Vec<[f32; 2]> = picture
            .enumerate_pixels()
            .filter(|(x, y, pixel)| *pixel != empty.get_pixel(*x, *y))
            .map(|(x, y, _)| [x as f32 + 0.5, y as f32 + 0.5])
            .collect();
        let within = |[x, y]: [f32; 2], [x0, y0, x1, y1]: [f32; 4], slack: f32| {
            x0 - slack <= x && x <= x1 + slack && y0 - slack <= y && y <= y1 + slack
        };
        // Shadows and ripples reach a little beyond.
        let stray = changed.iter().find(|&&at| !objects.iter().any(|object| within(at, object.bbox, 10.0)));
        assert_eq!(stray, None, "scene {index}");
        for object in &objects {
            let inside = || changed.iter().filter(|&&at| within(at, object.bbox, 0.0));
            let [x0, y0, x1, y1] = object.bbox;
            for (axis, low, high) in [(0, x0, x1), (1, y0, y1)] {
                let nearest =
                    |edge: f32| inside().map(|at| (at[axis] - edge).abs()).fold(f32::INFINITY, f32::min);
                assert!(nearest(low) < 2.0 && nearest(high) < 2.0, "scene {index}: {object:?} is not tight");
            }
            let share = share_of_color(&picture, object);
            assert!(share > 0.12, "scene {index}: {share:.2} of {object:?} has its colour");
        }
    }
}

/// Share of the pixels in an object's box whose hue is that of its colour; for white, that have no hue and are light.
fn share_of_color(picture: &RgbImage, object: &Object) -> f32 {
    let color = Color::ALL.into_iter().find(|color| color.name() == object.color).unwrap();
    let [x0, y0, x1, y1] = object.bbox.map(|edge| edge as u32);
    let pixels = (y0..y1).flat_map(|y| (x0..x1).map(move |x| *picture.get_pixel(x, y)));
    let (mut same, mut all) = (0, 0);
    for pixel in pixels {
        all += 1;
        same += u32::from(match (color, hue(pixel)) {
            (Color::White, None) => pixel.0[0] > 200,
            (Color::White, Some(_)) | (_, None) => false,
            (_, Some(found)) => {
                let apart = (found - hue(Rgb(color.rgb())).unwrap()).abs();
                apart.min(360.0 - apart) < 14.0
            }
        });
    }
    same as f32 / all as f32
}

/// Degrees on the colour circle; `None` for pixels that are nearly gray.
fn hue(Rgb(pixel): Rgb<u8>) -> Option<f32> {
    let [red, green, blue] = pixel.map(f32::from);
    let (max, min) = (red.max(green).max(blue), red.min(green).min(blue));
    let chroma = max - min;
    let sixth = match () {
        () if chroma < 24.0 => return None,
        () if max == red => ((green - blue) / chroma).rem_euclid(6.0),
        () if max == green => (blue - red) / chroma + 2.0,
        () => (red - green) / chroma + 4.0,
    };
    Some(60.0 * sixth)
}

#[test]
fn captions_are_five_different_sentences_in_plain_english() {
    for (_, captions) in plans() {
        assert_eq!(captions.iter().collect::<HashSet<_>>().len(), 5, "{captions:?}");
        for caption in &captions {
            let words: Vec<&str> = caption.split(' ').collect();
            assert!((6..=16).contains(&words.len()), "{caption}");
            assert!(caption.chars().all(|c| c.is_ascii_lowercase() || " ,".contains(c)), "{caption}");
            for pair in words.windows(2) {
                let vowel = pair[1].starts_with(['a', 'e', 'i', 'o', 'u']);
                assert!(!(pair[0] == "a" && vowel || pair[0] == "an" && !vowel), "{caption}");
            }
        }
    }
}

/// A noun phrase of a caption, the objects that it stands for and the words that follow it.
struct Mention {
    at: usize,
    bbox: Vec<[f32; 4]>,
    before: String,
    after: String,
}

/// Reads the noun phrases; checks that each stands for as many objects as it says.
fn mentions(caption: &str, objects: &[Object]) -> Vec<Mention> {
    let words: Vec<&str> = caption.split(' ').map(|word| word.trim_end_matches(',')).collect();
    let singular = |word: &str| {
        let nouns = objects.iter().map(|object| object.noun);
        nouns.into_iter().find(|noun| [*noun, &format!("{noun}s"), &format!("{noun}es")].contains(&word))
    };
    let mut mentions: Vec<Mention> = Vec::new();
    let mut end = 0;
    for (index, word) in words.iter().enumerate() {
        let Some(noun) = singular(word) else { continue };
        let mut start = index;
        let mut named: Vec<&Object> = objects.iter().filter(|object| object.noun == noun).collect();
        if Color::ALL.iter().any(|color| color.name() == words[start - 1]) {
            start -= 1;
            named.retain(|object| object.color == words[start]);
        }
        let size = match words[start - 1] {
            "small" | "little" | "tiny" => Some("small"),
            "large" | "big" | "huge" => Some("large"),
            _ => None,
        };
        if let Some(size) = size {
            start -= 1;
            named.retain(|object| object.size == size);
        }
        let count = match words[start - 1] {
            "a" | "an" => 1,
            "two" => 2,
            "three" => 3,
            "four" => 4,
            "the" if noun == *word && noun != "fish" => 1,
            _ => named.len(),
        };
        assert_eq!(named.len(), count, "{caption}: {noun}");
        assert!(count > 0, "{caption}: {noun}");
        assert!(noun == "fish" || (*word == noun) == (count == 1), "{caption}: {noun}");
        if words[start - 1] != "are" {
            start -= 1;
        }
        let before = words[end..start].join(" ");
        if let Some(last) = mentions.last_mut() {
            last.after = before.clone();
        }
        let bbox = named.iter().map(|object| object.bbox).collect();
        mentions.push(Mention { at: index, bbox, before, after: String::new() });
        end = index + 1;
    }
    if let Some(last) = mentions.last_mut() {
        last.after = words[last.at + 1..].join(" ");
    }
    mentions
}

fn all(a: &Mention, b: &Mention, holds: impl Fn([f32; 4], [f32; 4]) -> bool) -> bool {
    a.bbox.iter().all(|&a| b.bbox.iter().all(|&b| holds(a, b)))
}

fn left_of(a: &Mention, b: &Mention) -> bool {
    all(a, b, |a, b| a[2] < b[0])
}

/// Some of `a` is within 15 pixels of some of `b`, and about level.
fn near(a: &Mention, b: &Mention) -> bool {
    let apart = |a: [f32; 4], b: [f32; 4]| (b[0] - a[2]).max(a[0] - b[2]);
    let level = |a: [f32; 4], b: [f32; 4]| (a[3] - b[3]).abs() < 60.0;
    a.bbox.iter().any(|&a| b.bbox.iter().any(|&b| apart(a, b) < 15.0 && level(a, b)))
}

/// `a` is higher, and the middle of one is above or below some part of the other.
fn above(a: &Mention, b: &Mention) -> bool {
    let middle = |a: [f32; 4]| (a[0] + a[2]) / 2.0;
    let under = |a: [f32; 4], b: [f32; 4]| b[0] < middle(a) && middle(a) < b[2];
    all(a, b, |a, b| a[3] < b[1] && (under(a, b) || under(b, a)))
}

/// The lower edge of `a` is at the upper edge of `b`, within its width.
fn on(a: &Mention, b: &Mention) -> bool {
    all(a, b, |a, b| (a[3] - b[1]).abs() < 0.2 * (b[3] - b[1]) && b[0] <= a[0] + 1.0 && a[2] <= b[2] + 1.0)
}

fn between(a: &Mention, flanks: &[&Mention]) -> bool {
    let boxes: Vec<[f32; 4]> = flanks.iter().flat_map(|mention| mention.bbox.clone()).collect();
    let left = boxes.iter().any(|b| b[2] < a.bbox[0][0]);
    let right = boxes.iter().any(|b| a.bbox[0][2] < b[0]);
    boxes.len() == 2 && left && right
}

/// Whether the relations that a caption states hold; `None` where it states none.
fn relation(mentions: &[Mention]) -> Option<bool> {
    let over = |a: &Mention, b: &Mention| above(a, b) || on(a, b);
    let (a, rest) = mentions.split_first()?;
    let b = rest.first()?;
    let link = a.after.as_str();
    let ends = |phrases: &[&str]| {
        phrases.iter().any(|phrase| link == *phrase || link.ends_with(&format!(" {phrase}")))
    };
    let rest: Vec<&Mention> = rest.iter().collect();
    let last = &mentions[mentions.len() - 1];
    Some(match () {
        () if last.after.starts_with("between them") || last.after.starts_with("in the middle") => {
            between(last, &mentions[..mentions.len() - 1].iter().collect::<Vec<_>>())
        }
        () if ends(&["between"]) => between(a, &rest),
        () if ends(&["left of", "on the left side of"]) => left_of(a, b),
        () if ends(&["right of", "on the right side of"]) => left_of(b, a),
        () if link == "on the left and" && b.after == "on the right" => left_of(a, b),
        () if b.after.ends_with("on its left") || b.after.ends_with("on their left") => left_of(b, a),
        () if b.after.ends_with("on its right") || b.after.ends_with("on their right") => left_of(a, b),
        () if ends(&["next to", "beside", "close to", "near"]) => near(a, b),
        () if ends(&["above it is", "over it is"]) || b.after == "above it" || b.after == "over it" => {
            above(b, a)
        }
        () if ends(&["on it is", "on top of it is"]) || b.after == "on it" || b.after == "on top of it" => {
            on(b, a)
        }
        () if ends(&["above", "over"]) => above(a, b),
        () if ends(&["on", "on top of"]) => on(a, b),
        () if ends(&["under"]) => over(b, a),
        () => return None,
    })
}

#[test]
fn captions_are_true_of_the_boxes() {
    let (mut stated, mut related) = (0, 0);
    for (plan, captions) in plans() {
        let objects = plan.objects();
        for caption in &captions {
            let mentions = mentions(caption, &objects);
            assert!(!mentions.is_empty(), "{caption}");
            let total = [("two things", 2), ("three things", 3), ("four things", 4)];
            if let Some((_, total)) = total.iter().find(|(words, _)| mentions[0].before.starts_with(words)) {
                assert_eq!(objects.len(), *total, "{caption}");
            }
            let holds = relation(&mentions);
            assert_ne!(holds, Some(false), "{caption}\n{objects:?}");
            if !matches!(plan.arrangement, Arrangement::Alone | Arrangement::Mixed) {
                related += 1;
                stated += u32::from(holds.is_some());
            }
        }
    }
    // All captions of related groups but the form `a ball and a cup standing on the beach`.
    assert!(stated * 10 > related * 9, "only {stated} of {related} relations were understood");
}

#[test]
fn no_caption_and_no_content_dominates() {
    let mut captions = HashMap::<String, u32>::new();
    let mut openings = HashMap::<String, u32>::new();
    let mut contents = HashMap::<String, u32>::new();
    for (plan, sentences) in plans() {
        for caption in sentences {
            let opening: Vec<&str> = caption.split(' ').take(4).collect();
            *openings.entry(opening.join(" ")).or_default() += 1;
            *captions.entry(caption).or_default() += 1;
        }
        *contents.entry(format!("{:?}", plan.place)).or_default() += 1;
        *contents.entry(format!("{:?}", plan.arrangement)).or_default() += 1;
        for group in &plan.groups {
            *contents.entry(format!("{:?}", group.kind)).or_default() += 1;
            *contents.entry(format!("{:?}", group.color)).or_default() += 1;
        }
    }
    let total = 5 * PLANS as u32;
    let most = |counts: &HashMap<String, u32>| {
        counts.iter().map(|(words, &count)| (count, words.clone())).max().unwrap()
    };
    println!("{} of {total} captions are different; most frequent: {:?}", captions.len(), most(&captions));
    println!("{} different openings; most frequent: {:?}", openings.len(), most(&openings));
    println!("{contents:?}");
    assert!(captions.len() as u32 > total * 8 / 10, "{} different captions of {total}", captions.len());
    assert!(most(&captions).0 <= total / 500, "{:?}", most(&captions));
    assert!(most(&openings).0 <= total / 40, "{:?}", most(&openings));
    let names = Place::ALL.len() + Color::ALL.len() + 16 + 7;
    assert_eq!(contents.len(), names);
    assert!(contents.values().all(|&count| u64::from(count) > PLANS / 60), "{contents:?}");
}
