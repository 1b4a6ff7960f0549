use super::*;

#[test]
fn the_seed_decides_and_the_images_beside_it_do_not() {
    let two = Bigrams::new(2, 7);
    let settings = SampleSettings { max_length: 6, ..Default::default() };
    let draw = |bigrams: &Bigrams, seed| -> Vec<Vec<Vec<u32>>> {
        let images = sample(&mut &*bigrams, &bigrams.memory(), &settings, (20, seed)).unwrap();
        images.into_iter().map(|drawn| drawn.into_iter().map(|drawn| drawn.ids).collect()).collect()
    };
    let both = draw(&two, 1);
    assert_eq!(both, draw(&two, 1));
    assert_ne!(both, draw(&two, 2));
    for (image, drawn) in two.0.iter().zip(both) {
        assert_eq!(draw(&Bigrams(vec![*image]), 1), [drawn]);
    }
}

#[test]
fn what_is_drawn_is_as_probable_as_the_decoder_says() {
    let bigrams = Bigrams::new(1, 3);
    let settings = SampleSettings { temperature: 2.0, max_length: 6, ..Default::default() };
    let drawn = sample(&mut &bigrams, &bigrams.memory(), &settings, (200, 5)).unwrap().remove(0);
    assert!(drawn.iter().any(|drawn| drawn.finished) && drawn.iter().any(|drawn| !drawn.finished));
    for drawn in drawn {
        assert!(!drawn.ids.is_empty() && drawn.ids.len() <= 6);
        assert!(drawn.finished || drawn.ids.len() == 6);
        let tokens: Vec<u32> =
            [BOS].iter().chain(&drawn.ids).copied().chain(drawn.finished.then_some(EOS)).collect();
        let scores: Vec<f64> = tokens.windows(2).map(|pair| bigrams.score(0, pair[0], pair[1])).collect();
        assert_eq!(drawn.log_probabilities, scores);
        assert!((drawn.log_probability - scores.iter().sum::<f64>()).abs() < 1e-9);
    }
}
