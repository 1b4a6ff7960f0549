//! The reward of self-critical training: CIDEr-D against the captions of the train images.

use artifacts::vocabulary::Vocabulary;
use metrics::{DocumentFrequency, Tokens, cider_d};

/// Stands for `<eos>` in the reward: a caption that stops in the middle of a phrase misses the n-grams that end with it.
const END: &str = "<eos>";

/// CIDEr-D with the document frequency of the train captions.
pub(crate) struct Reward {
    frequency: DocumentFrequency,
}

/// A caption as the reward reads it.
pub(crate) fn ended(mut tokens: Tokens) -> Tokens {
    tokens.push(END.to_owned());
    tokens
}

impl Reward {
    /// Counts over the captions of all images, one image after the other, each [`ended`].
    pub(crate) fn new(
        references: impl Iterator<Item = anyhow::Result<Vec<Tokens>>>,
    ) -> anyhow::Result<Reward> {
        Ok(Reward { frequency: DocumentFrequency::counted(references)? })
    }

    /// The reward of each of `samples[image][sample]` (ids, and whether it ended) against `references[image]`.
    pub(crate) fn of(
        &self,
        vocabulary: &Vocabulary,
        references: &[Vec<Tokens>],
        samples: &[Vec<(&[u32], bool)>],
    ) -> anyhow::Result<Vec<Vec<f32>>> {
        let rewards = references.iter().zip(samples).map(|(references, samples)| {
            let words = samples.iter().map(|&(ids, finished)| {
                let tokens = metrics::tokenize::caption_tokens(&vocabulary.decode(ids).join(" "));
                if finished { ended(tokens) } else { tokens }
            });
            let words: Vec<Tokens> = words.collect();
            let references = vec![references.to_vec(); words.len()];
            let scores = cider_d(&references, &words, &self.frequency)?;
            Ok(scores.into_iter().map(|score| score as f32).collect())
        });
        rewards.collect()
    }
}

/// Each reward less what the other samples of the image got on average (Luo 2020, <https://arxiv.org/abs/2003.09971>).
pub(crate) fn advantages(rewards: &[f32]) -> Vec<f32> {
    let others = (rewards.len() as f32 - 1.0).max(1.0);
    let sum: f32 = rewards.iter().sum();
    rewards.iter().map(|reward| reward - (sum - reward) / others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Tokens {
        ended(text.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn the_right_caption_with_its_end_is_worth_most() {
        let vocabulary = Vocabulary::new(["a", "dog", "cat", "runs"].map(str::to_owned)).unwrap();
        let references = [vec![tokens("a dog runs")], vec![tokens("a cat")]];
        let reward = Reward::new(references.iter().cloned().map(Ok)).unwrap();
        let [a, dog, cat, runs] = [4, 5, 6, 7];
        let sentence = [a, dog, runs];
        let other = [a, cat];
        let samples: Vec<(&[u32], bool)> = vec![(&sentence, true), (&sentence, false), (&other, true)];
        let rewards = reward.of(&vocabulary, &references[..1], &[samples]).unwrap().remove(0);
        assert!(rewards.is_sorted_by(|a, b| a > b), "{rewards:?}");
    }

    #[test]
    fn advantages_compare_with_the_other_samples() {
        assert_eq!(advantages(&[1.0, 2.0, 6.0]), [-3.0, -1.5, 4.5]);
        assert_eq!(advantages(&[2.0]), [2.0]);
    }
}
