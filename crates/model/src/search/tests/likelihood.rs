use super::*;

#[test]
fn captions_that_a_search_found_are_as_probable_when_they_are_read() {
    let bigrams = Bigrams::new(2, 5);
    let settings = SearchSettings { beam_size: 4, max_length: 6, length_penalty: 0.0, ..Default::default() };
    let found = beam_search(&mut &bigrams, &bigrams.memory(), &settings).unwrap();
    let finished: Vec<Vec<&Hypothesis>> =
        found.iter().map(|beams| beams.iter().filter(|beam| beam.finished).collect()).collect();
    assert!(finished.iter().all(|beams| beams.len() > 1), "{found:?}");
    for (image, beams) in finished.iter().enumerate() {
        // Captions of other lengths beside it must not matter.
        let captions: Vec<Vec<u32>> =
            beams.iter().map(|beam| beam.ids.clone()).chain([vec![4; 7], vec![]]).collect();
        let read = log_likelihoods(&mut &bigrams, &bigrams.memory(), &captions).unwrap();
        assert_eq!((read.len(), read[0].len()), (2, captions.len()));
        for (beam, read) in beams.iter().zip(&read[image]) {
            assert!((beam.log_probability - read).abs() < 1e-5, "{beam:?} {read}");
            assert_eq!(beam.log_probabilities.len(), beam.ids.len() + 1);
            let sum: f64 = beam.log_probabilities.iter().sum();
            assert!((sum - beam.log_probability).abs() < 1e-9);
        }
        let empty = bigrams.score(image, BOS, EOS);
        assert!((read[image].last().unwrap() - empty).abs() < 1e-6, "a caption without words has its end");
    }
    assert_eq!(log_likelihoods(&mut &bigrams, &bigrams.memory(), &[]).unwrap(), [[0.0; 0]; 2]);
}

#[test]
fn scores_that_are_not_numbers_are_an_error() {
    let bigrams = Bigrams::new(1, 4).with(6, f32::NAN);
    let result = log_likelihoods(&mut &bigrams, &bigrams.memory(), &[vec![4]]);
    assert!(matches!(result, Err(SearchError::NotANumber)));
}
