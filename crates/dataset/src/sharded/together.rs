//! What only all images together can tell, found in passes over them that keep a bounded number of short hashes.

use std::collections::{BTreeMap, HashMap, HashSet};

use artifacts::Split;
use artifacts::images::ImageRow;
use artifacts::table::TableError;

use crate::spoilers;

/// Hashes that are kept at once: some 32 bytes each.
const KEPT: u64 = 8_000_000;
/// Spoilers that are named one by one.
const NAMED: usize = 1000;

/// A number that equal text has and other text hardly ever.
fn short(text: &str) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Refuses two images of one id.
pub(super) fn refuse_repeated_ids<I: Iterator<Item = Result<ImageRow, TableError>>>(
    rows: impl Fn() -> I,
    count: u64,
) -> anyhow::Result<()> {
    let mut twice: HashSet<u64> = HashSet::new();
    for pass in passes(count) {
        let mut seen = HashSet::new();
        for row in rows() {
            let hash = short(&row?.image_id);
            if pass.has(hash) && !seen.insert(hash) {
                twice.insert(hash);
            }
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    // Hashes may be equal by chance; ids that are equal are not.
    let mut first: HashMap<String, String> = HashMap::new();
    for row in rows() {
        let row = row?;
        if twice.contains(&short(&row.image_id)) {
            let place = row.locator().to_string();
            if let Some(other) = first.insert(row.image_id.clone(), place.clone()) {
                anyhow::bail!(
                    "two images are called {}: {other} and {place}; set dataset.ids = \"place\", which puts the shard's name \
                     before each",
                    row.image_id
                );
            }
        }
    }
    Ok(())
}

/// Photos that are in two splits, and a split that is empty.
pub(super) fn spoilers<I: Iterator<Item = Result<ImageRow, TableError>>>(
    rows: impl Fn() -> I,
    count: u64,
    splits: &[usize; Split::ALL.len()],
    given: bool,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    // Where the bytes decide the split, copies stay together.
    if given {
        let mut torn: HashSet<u64> = HashSet::new();
        for pass in passes(count) {
            let mut seen: HashMap<u64, Split> = HashMap::new();
            for row in rows() {
                let row = row?;
                let hash = short(&row.content_hash);
                if pass.has(hash) && *seen.entry(hash).or_insert(row.split) != row.split {
                    torn.insert(hash);
                }
            }
        }
        let mut named: BTreeMap<String, (String, Split)> = BTreeMap::new();
        for row in rows() {
            let row = row?;
            if !torn.contains(&short(&row.content_hash)) {
                continue;
            }
            let place = row.locator().to_string();
            match named.get(&row.content_hash) {
                Some((other, split)) if *split != row.split && found.len() < NAMED => {
                    found.push(spoilers::same_in_two_splits(place, row.split, other, *split));
                }
                None if named.len() < NAMED => drop(named.insert(row.content_hash, (place, row.split))),
                _ => {}
            }
        }
        if torn.len() > NAMED {
            found.push((
                format!("{} photos", torn.len()),
                "are in two splits, the first of them are named".to_owned(),
            ));
        }
    }
    found.extend(spoilers::empty_val(splits[Split::Val as usize], given));
    Ok(found)
}

/// One of the passes that look at all rows, each at its share of the hashes.
struct Pass {
    number: u64,
    of: u64,
}

impl Pass {
    fn has(&self, hash: u64) -> bool {
        hash % self.of == self.number
    }
}

fn passes(count: u64) -> impl Iterator<Item = Pass> {
    let of = count.div_ceil(KEPT).max(1);
    (0..of).map(move |number| Pass { number, of })
}
