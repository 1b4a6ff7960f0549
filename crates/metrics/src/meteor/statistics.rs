//! METEOR's formula over what its program counts in captions.

/// Weight of recall against precision; these parameters are METEOR 1.5's for English, tuned on rankings by people
/// (Denkowski and Lavie 2014, table 1).
const ALPHA: f64 = 0.85;
/// Exponent of fragmentation.
const BETA: f64 = 0.2;
/// Weight of the fragmentation penalty.
const GAMMA: f64 = 0.6;
/// Weight of content words against function words.
const DELTA: f64 = 0.75;
/// Weights of the matchers: exact words, stems, synonyms, paraphrases.
const MATCHERS: [f64; 4] = [1.0, 0.6, 0.8, 0.6];

/// Numbers per caption: lengths, four matches for each matcher, chunks, words matched.
const NUMBERS: usize = 4 + 4 * MATCHERS.len() + 3;

/// What the program counts in one caption. All that the score of a corpus needs is the sum over its captions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    hypothesis: Side,
    reference: Side,
    /// Runs of matched words that stand in the same order in both.
    chunks: f64,
}

/// The words of one of the two captions.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    words: f64,
    function_words: f64,
    /// Content words that each matcher aligned.
    content: [f64; MATCHERS.len()],
    /// Function words that each matcher aligned.
    function: [f64; MATCHERS.len()],
    matched: f64,
}

impl Side {
    /// Weighted matches as a share of the weighted length: precision of the hypothesis, recall of the reference.
    fn share(&self) -> f64 {
        let weighted = |content: f64, function: f64| DELTA * content + (1.0 - DELTA) * function;
        let matches: f64 = MATCHERS
            .iter()
            .zip(self.content.iter().zip(self.function))
            .map(|(weight, (&content, function))| weight * weighted(content, function))
            .sum();
        let length = weighted(self.words - self.function_words, self.function_words);
        if length > 0.0 { matches / length } else { 0.0 }
    }

    fn add(&mut self, other: &Side) {
        self.words += other.words;
        self.function_words += other.function_words;
        self.matched += other.matched;
        for (sum, value) in self.content.iter_mut().zip(other.content) {
            *sum += value;
        }
        for (sum, value) in self.function.iter_mut().zip(other.function) {
            *sum += value;
        }
    }
}

impl Statistics {
    /// From the numbers in the program's order; `None` when there are too few or too many.
    pub(super) fn new(numbers: &[f64]) -> Option<Statistics> {
        let numbers: [f64; NUMBERS] = numbers.try_into().ok()?;
        let matches = |place: usize| std::array::from_fn(|matcher| numbers[4 + 4 * matcher + place]);
        let side = |place: usize| Side {
            words: numbers[place],
            function_words: numbers[2 + place],
            content: matches(place),
            function: matches(2 + place),
            matched: numbers[NUMBERS - 2 + place],
        };
        Some(Statistics { hypothesis: side(0), reference: side(1), chunks: numbers[NUMBERS - 3] })
    }

    /// The numbers in the program's order.
    pub(super) fn numbers(&self) -> Vec<f64> {
        let sides = [&self.hypothesis, &self.reference];
        let of = |value: &dyn Fn(&Side) -> f64| sides.map(value);
        let mut numbers = vec![];
        numbers.extend(of(&|side| side.words));
        numbers.extend(of(&|side| side.function_words));
        for matcher in 0..MATCHERS.len() {
            numbers.extend(of(&|side| side.content[matcher]));
            numbers.extend(of(&|side| side.function[matcher]));
        }
        numbers.push(self.chunks);
        numbers.extend(of(&|side| side.matched));
        numbers
    }

    /// METEOR of captions with these statistics.
    pub(super) fn score(&self) -> f64 {
        let (precision, recall) = (self.hypothesis.share(), self.reference.share());
        if precision == 0.0 || recall == 0.0 {
            return 0.0;
        }
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let fragmentation = self.chunks / ((self.hypothesis.matched + self.reference.matched) / 2.0);
        mean * (1.0 - GAMMA * fragmentation.powf(BETA))
    }

    /// As they go into a sum: a caption that matches all of its reference in one chunk is not fragmented at all.
    fn forgiven(&self) -> Statistics {
        let whole = |side: &Side| side.matched == side.words;
        let perfect = whole(&self.hypothesis) && whole(&self.reference) && self.chunks == 1.0;
        Statistics { chunks: if perfect { 0.0 } else { self.chunks }, ..*self }
    }
}

impl<'a> std::iter::Sum<&'a Statistics> for Statistics {
    fn sum<I: Iterator<Item = &'a Statistics>>(captions: I) -> Statistics {
        let nothing = Statistics { hypothesis: Side::default(), reference: Side::default(), chunks: 0.0 };
        captions.map(Statistics::forgiven).fold(nothing, |mut sum, caption| {
            sum.hypothesis.add(&caption.hypothesis);
            sum.reference.add(&caption.reference);
            sum.chunks += caption.chunks;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "a dog runs" against "a dog runs there": one function word each, three exact matches in one chunk.
    const NUMBERS_OF_THREE: [f64; NUMBERS] = {
        let mut numbers = [0.0; NUMBERS];
        (numbers[0], numbers[1], numbers[2], numbers[3]) = (3.0, 4.0, 1.0, 1.0);
        (numbers[4], numbers[5], numbers[6], numbers[7]) = (2.0, 2.0, 1.0, 1.0);
        (numbers[20], numbers[21], numbers[22]) = (1.0, 3.0, 3.0);
        numbers
    };

    #[test]
    fn a_caption_scores_as_counted_by_hand() {
        let statistics = Statistics::new(&NUMBERS_OF_THREE).unwrap();
        assert_eq!(statistics.numbers(), NUMBERS_OF_THREE);
        // All of 2 × 0.75 + 0.25 in the hypothesis, of 3 × 0.75 + 0.25 in the reference.
        let (precision, recall) = (1.0, 1.75 / 2.5);
        let expected = 1.0 / (0.15 / precision + 0.85 / recall) * (1.0 - 0.6 * (1.0_f64 / 3.0).powf(0.2));
        assert!((statistics.score() - expected).abs() < 1e-15);
    }

    #[test]
    fn what_is_not_a_caption_s_statistics_is_refused() {
        assert!(Statistics::new(&[1.0; NUMBERS - 1]).is_none());
    }

    #[test]
    fn a_perfect_caption_is_not_fragmented() {
        let mut numbers = NUMBERS_OF_THREE;
        numbers[1] = 3.0;
        let perfect = Statistics::new(&numbers).unwrap();
        assert_eq!([&perfect, &perfect].into_iter().sum::<Statistics>().score(), 1.0);
    }
}
