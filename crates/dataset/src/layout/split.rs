//! A seeded split for datasets that bring none, or none for the test.
//!
//! Images are ranked by a hash of the seed and their id: the split does not depend on the order of the rows, and all
//! captions of an image go where the image goes.

use std::collections::{BTreeSet, HashMap};

use artifacts::Split;

use super::LayoutError;

/// The split of each of `image_ids`, in their order; equal ids get equal splits.
///
/// Of *n* different images, `val_fraction · n` and `test_fraction · n`, rounded, go to val and test and the rest to
/// train, which always keeps at least one. A fraction above 0 gives at least one image too, val before test.
///
/// # Errors
/// Fractions below 0 or with a sum of 1 or more.
pub fn assign<I: AsRef<str>>(
    image_ids: &[I],
    seed: u64,
    val_fraction: f64,
    test_fraction: f64,
) -> Result<Vec<Split>, LayoutError> {
    let valid = val_fraction >= 0.0 && test_fraction >= 0.0 && val_fraction + test_fraction < 1.0;
    if !valid {
        return Err(LayoutError::Fractions { val: val_fraction, test: test_fraction });
    }
    let key = |id: &str| {
        *blake3::Hasher::new().update(&seed.to_le_bytes()).update(id.as_bytes()).finalize().as_bytes()
    };
    let ranked: BTreeSet<([u8; 32], &str)> =
        image_ids.iter().map(|id| (key(id.as_ref()), id.as_ref())).collect();

    let share = |fraction: f64| match fraction {
        0.0 => 0,
        _ => ((fraction * ranked.len() as f64).round() as usize).max(1),
    };
    let held_out = ranked.len().saturating_sub(1);
    let val = share(val_fraction).min(held_out);
    let test = share(test_fraction).min(held_out - val);
    let split_at = |rank| match rank {
        rank if rank < val => Split::Val,
        rank if rank < val + test => Split::Test,
        _ => Split::Train,
    };
    let splits: HashMap<&str, Split> =
        ranked.iter().enumerate().map(|(rank, &(_, id))| (id, split_at(rank))).collect();
    Ok(image_ids.iter().map(|id| splits[id.as_ref()]).collect())
}

/// Moves `fraction` of the val images, rounded, to test; val always keeps at least one.
///
/// # Errors
/// A fraction below 0 or of 1 or more.
pub fn hold_out_test<I: AsRef<str>>(
    image_ids: &[I],
    splits: &mut [Split],
    seed: u64,
    fraction: f64,
) -> Result<(), LayoutError> {
    let val: Vec<usize> = (0..splits.len()).filter(|&index| splits[index] == Split::Val).collect();
    let ids: Vec<&str> = val.iter().map(|&index| image_ids[index].as_ref()).collect();
    for (index, split) in val.into_iter().zip(assign(&ids, seed, 0.0, fraction)?) {
        if split == Split::Test {
            splits[index] = Split::Test;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("image-{i}")).collect()
    }

    #[test]
    fn shares_are_exact_and_the_seed_decides() {
        let ids = ids(1000);
        let splits = assign(&ids, 1, 0.1, 0.2).unwrap();
        let count = |split| splits.iter().filter(|&&other| other == split).count();
        assert_eq!([Split::Train, Split::Val, Split::Test].map(count), [700, 100, 200]);
        assert_eq!(splits, assign(&ids, 1, 0.1, 0.2).unwrap());
        assert_ne!(splits, assign(&ids, 2, 0.1, 0.2).unwrap());
    }

    #[test]
    fn test_images_are_a_share_of_val() {
        let ids = ids(100);
        let named = |index| if index < 60 { Split::Train } else { Split::Val };
        let named: Vec<Split> = (0..100).map(named).collect();
        let mut splits = named.clone();
        hold_out_test(&ids, &mut splits, 1, 0.25).unwrap();
        let count = |split| splits.iter().filter(|&&other| other == split).count();
        assert_eq!([Split::Train, Split::Val, Split::Test].map(count), [60, 30, 10]);
        assert_eq!(splits[..60], named[..60]);
        let mut only = [Split::Train, Split::Val];
        hold_out_test(&ids[..2], &mut only, 1, 0.9).unwrap();
        assert_eq!(only, [Split::Train, Split::Val]);
    }

    #[test]
    fn few_images_are_shared_out_all_the_same() {
        let counts = |images: usize, val: f64, test: f64| {
            let splits = assign(&ids(images), 1, val, test).unwrap();
            [Split::Train, Split::Val, Split::Test]
                .map(|split| splits.iter().filter(|&&of| of == split).count())
        };
        assert_eq!(counts(4, 0.1, 0.1), [2, 1, 1]);
        assert_eq!(counts(2, 0.1, 0.1), [1, 1, 0]);
        assert_eq!(counts(4, 0.0, 0.1), [3, 0, 1]);
        assert_eq!(counts(4, 0.1, 0.0), [3, 1, 0]);
    }

    #[test]
    fn train_keeps_an_image() {
        assert_eq!(assign(&["only"], 1, 0.5, 0.4).unwrap(), [Split::Train]);
        assert!(assign::<&str>(&[], 1, 0.1, 0.1).unwrap().is_empty());
    }

    #[test]
    fn bad_fractions_are_refused() {
        for (val, test) in [(-0.1, 0.0), (0.0, -0.1), (0.5, 0.5), (f64::NAN, 0.1), (0.1, f64::INFINITY)] {
            let error = assign(&ids(10), 1, val, test).unwrap_err();
            assert!(matches!(error, LayoutError::Fractions { .. }), "{val} {test}");
        }
    }

    proptest! {
        #[test]
        fn row_order_and_repeats_change_nothing(
            rows in proptest::collection::vec("[a-d]{1,3}", 1..60).prop_shuffle(),
            seed: u64,
        ) {
            let mut sorted = rows.clone();
            sorted.sort();
            let of = |rows: &[String]| -> HashMap<String, Split> {
                rows.iter().cloned().zip(assign(rows, seed, 0.2, 0.2).unwrap()).collect()
            };
            let splits = assign(&rows, seed, 0.2, 0.2).unwrap();
            prop_assert_eq!(of(&rows), of(&sorted));
            for (id, split) in rows.iter().zip(splits) {
                prop_assert_eq!(of(&sorted)[id], split);
            }
        }
    }
}
