use std::collections::HashSet;

use artifacts::vocabulary::{PAD, UNK};

use super::*;

fn run(table: &Bigrams, settings: &SearchSettings) -> Vec<Vec<Hypothesis>> {
    beam_search(&mut { table }, &table.memory(), settings).unwrap()
}

fn settings(beam_size: usize, max_length: usize, length_penalty: f64) -> SearchSettings {
    SearchSettings { beam_size, max_length, length_penalty, ..Default::default() }
}

fn ids(beams: &[Hypothesis]) -> Vec<Vec<u32>> {
    beams.iter().map(|beam| beam.ids.clone()).collect()
}

#[test]
fn a_wide_beam_finds_the_most_probable_caption() {
    for seed in 0..10 {
        let table = Bigrams::new(2, seed);
        let found = run(&table, &settings(100, 4, 0.0));
        for (image, beams) in found.iter().enumerate() {
            let mut all = all_captions(&table, image, 4);
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            assert_eq!(beams[0].ids, all[0].0, "seed {seed}");
            assert!((beams[0].log_probability - all[0].1).abs() < 1e-4);
        }
    }
}

#[test]
fn images_in_a_batch_do_not_disturb_each_other() {
    let both = Bigrams::new(2, 5);
    let plain = settings(3, 8, 1.0);
    let constrained = SearchSettings { beam_size: 4, groups: 2, no_repeat_ngram: 2, min_length: 3, ..plain };
    for settings in [plain.clone(), constrained] {
        let together = run(&both, &settings);
        for (image, together) in both.0.iter().zip(&together) {
            let alone = Bigrams(vec![*image]);
            assert_eq!(ids(together), ids(&run(&alone, &settings)[0]));
        }
    }
}

#[test]
fn a_beam_of_one_takes_the_best_word_each_time() {
    let table = Bigrams::new(1, 8);
    let found = &run(&table, &settings(1, 6, 0.0))[0][0];
    let mut word = BOS;
    for position in 0..6 {
        let allowed: &[u32] = if position == 0 { &[4, 5, 6] } else { &[2, 4, 5, 6] };
        let score = |next: &u32| table.score(0, word, *next);
        word = *allowed.iter().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
        if word == EOS {
            assert_eq!(found.ids.len(), position);
            return;
        }
        assert_eq!(found.ids[position], word);
    }
}

#[test]
fn a_caption_comes_out_when_no_beam_ends() {
    let table = Bigrams::new(1, 1).with(EOS, f32::NEG_INFINITY);
    let beams = &run(&table, &settings(3, 5, 1.0))[0];
    assert_eq!(beams.len(), 3);
    assert!(beams.iter().all(|beam| !beam.finished && beam.ids.len() == 5));
}

#[test]
fn special_tokens_are_never_written_even_when_they_are_likeliest() {
    let table = Bigrams::new(1, 2).with(PAD, 3.0).with(BOS, 3.0).with(UNK, 3.0);
    let beams = &run(&table, &settings(4, 5, 1.0))[0];
    assert!(beams.iter().all(|beam| beam.ids.iter().all(|&id| id > UNK)));
}

#[test]
fn attention_follows_the_words_of_its_own_beam() {
    let beams = &run(&Bigrams::new(1, 4), &settings(3, 5, 1.0))[0];
    for beam in beams {
        assert_eq!(beam.attention.len(), beam.ids.len());
        // The table reports as attention the word it was given: the one before.
        for (position, look) in beam.attention.iter().enumerate() {
            let before = if position == 0 { BOS } else { beam.ids[position - 1] };
            assert_eq!(look[0], before as f32);
        }
    }
}

#[test]
fn scores_that_are_not_numbers_are_an_error() {
    let table = Bigrams::new(1, 4).with(5, f32::NAN);
    let result = beam_search(&mut &table, &table.memory(), &SearchSettings::default());
    assert!(matches!(result, Err(SearchError::NotANumber)));
}

/// Whether some n words in a row stand twice in `ids`.
fn repeats_itself(ids: &[u32], n: usize) -> bool {
    let windows: Vec<&[u32]> = ids.windows(n).collect();
    (0..windows.len()).any(|index| windows[..index].contains(&windows[index]))
}

#[test]
fn constraints_leave_the_most_probable_caption_that_obeys_them() {
    let mut bound = 0;
    for (seed, no_repeat_ngram, min_length) in
        (0..8).flat_map(|seed| [(1, 1), (2, 1), (1, 3), (2, 4), (0, 3)].map(|(n, min)| (seed, n, min)))
    {
        let table = Bigrams::new(1, seed);
        let settings = SearchSettings { no_repeat_ngram, min_length, ..settings(300, 6, 0.0) };
        let found = &run(&table, &settings)[0][0];
        let mut all = all_captions(&table, 0, 6);
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        let obeys = |ids: &[u32]| {
            ids.len() >= min_length && !(no_repeat_ngram > 0 && repeats_itself(ids, no_repeat_ngram))
        };
        let best = all.iter().position(|caption| obeys(&caption.0)).unwrap();
        bound += usize::from(best > 0);
        // Captions of the same word pairs are equally probable.
        assert!(obeys(&found.ids), "seed {seed}, {settings:?}: {:?}", found.ids);
        assert!((found.log_probability - all[best].1).abs() < 1e-4, "seed {seed}, {settings:?}");
    }
    assert!(bound > 10, "the constraints hardly ever mattered");
}

#[test]
fn a_caption_comes_out_when_every_next_word_is_forbidden() {
    let table = Bigrams::new(1, 1).with(EOS, f32::NEG_INFINITY);
    let settings = SearchSettings { no_repeat_ngram: 1, ..settings(3, 9, 1.0) };
    let beams = &run(&table, &settings)[0];
    assert_eq!(beams.len(), 3);
    assert!(beams.iter().all(|beam| !beam.finished && beam.ids.len() == 3 && !repeats_itself(&beam.ids, 1)));
}

/// Groups of one hypothesis, by the definition: each takes the best word after the penalty of the groups before it.
fn diverse_greedy(table: &Bigrams, groups: usize, diversity: f64, length: usize) -> Vec<Vec<u32>> {
    let mut captions = vec![vec![]; groups];
    for _ in 0..length {
        let mut chosen: Vec<u32> = vec![];
        for caption in &mut captions {
            let last = *caption.last().unwrap_or(&BOS);
            let rank = |word: u32| {
                let times = chosen.iter().filter(|&&other| other == word).count() as f64;
                table.score(0, last, word) - diversity * times
            };
            let word = (4..WORDS as u32).max_by(|&a, &b| rank(a).total_cmp(&rank(b))).unwrap();
            chosen.push(word);
            caption.push(word);
        }
    }
    captions
}

#[test]
fn groups_avoid_the_words_of_the_groups_before_them() {
    for (seed, diversity) in (0..6).flat_map(|seed| [0.0, 0.7, 100.0].map(|diversity| (seed, diversity))) {
        let table = Bigrams::new(1, seed).with(EOS, f32::NEG_INFINITY);
        let settings = SearchSettings { groups: 3, diversity, ..settings(3, 5, 1.0) };
        let found = &run(&table, &settings)[0];
        let mut expected = diverse_greedy(&table, 3, diversity, 5);
        expected.sort();
        expected.dedup();
        let mut captions = ids(found);
        captions.sort();
        assert_eq!(captions, expected, "seed {seed}, diversity {diversity}");
        for beam in found {
            let words = [&[BOS], beam.ids.as_slice()].concat();
            let own: f64 = words.windows(2).map(|pair| table.score(0, pair[0], pair[1])).sum();
            assert!((beam.log_probability - own).abs() < 1e-4, "the penalty is no part of the probability");
        }
        match diversity {
            0.0 => assert_eq!(found.len(), 1),
            100.0 => assert_eq!(found.iter().map(|beam| beam.ids[0]).collect::<HashSet<_>>().len(), 3),
            _ => {}
        }
    }
}

#[test]
fn finished_captions_come_first_then_better_ones() {
    for seed in 0..20 {
        let table = Bigrams::new(1, seed);
        let settings = SearchSettings { groups: 2, diversity: 2.0, min_length: 2, ..settings(4, 4, 1.0) };
        let beams = &run(&table, &settings)[0];
        for pair in beams.windows(2) {
            assert!(pair[0].finished || !pair[1].finished);
            let scores = [0, 1].map(|index: usize| {
                let tokens = pair[index].ids.len() + usize::from(pair[index].finished);
                pair[index].log_probability / tokens as f64
            });
            assert!(pair[0].finished != pair[1].finished || scores[0] >= scores[1]);
        }
    }
}

#[test]
fn a_consensus_ranks_the_captions_that_a_search_finds_anyway() {
    let mut changed = 0;
    for seed in 0..20 {
        let table = Bigrams::new(2, seed);
        // Some captions of a group that finds no end in four words are cut.
        let plain = SearchSettings { groups: 2, diversity: 2.0, min_length: 2, ..settings(8, 4, 1.0) };
        let consensus = SearchSettings { consensus: 0.5, ..plain.clone() };
        for (found, ranked) in run(&table, &plain).iter().zip(run(&table, &consensus)) {
            let (mut before, mut after) = (ids(found), ids(&ranked));
            changed += usize::from(before != after);
            before.sort();
            after.sort();
            assert_eq!(before, after, "seed {seed}");
            assert!(ranked.is_sorted_by(|a, b| a.finished || !b.finished), "cut captions come last");
        }
    }
    assert!(changed > 10, "the order hardly ever changed");
}

#[test]
fn settings_without_sense_are_refused_by_name() {
    let good = SearchSettings::default();
    assert_eq!(good.problem(), None);
    let wrong = [
        ("beam_size", SearchSettings { beam_size: 0, ..good.clone() }),
        ("max_length", SearchSettings { max_length: 0, ..good.clone() }),
        ("min_length", SearchSettings { min_length: 0, ..good.clone() }),
        ("min_length", SearchSettings { min_length: 31, ..good.clone() }),
        ("length_penalty", SearchSettings { length_penalty: f64::NAN, ..good.clone() }),
        ("groups", SearchSettings { groups: 0, ..good.clone() }),
        ("groups", SearchSettings { groups: 2, ..good.clone() }),
        ("diversity", SearchSettings { diversity: -1.0, ..good.clone() }),
        ("consensus", SearchSettings { consensus: f64::NAN, ..good }),
    ];
    let table = Bigrams::new(1, 1);
    for (key, settings) in wrong {
        let error = beam_search(&mut &table, &table.memory(), &settings).unwrap_err();
        assert!(error.to_string().starts_with(key), "{error}");
    }
}
