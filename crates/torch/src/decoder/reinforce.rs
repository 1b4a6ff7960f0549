//! REINFORCE (Williams 1992) for decoders that draw while they train: what is drawn has no gradient, so draws that
//! turned out well are made likelier instead.

use tch::{Kind, TchError, Tensor};

/// What a decoder drew in a teacher-forced pass, both `[images × captions, steps]`.
#[derive(Debug)]
pub struct Choices {
    /// Log-probability of what was drawn, 0 where nothing was.
    pub log_probabilities: Tensor,
    /// Entropy of what it was drawn from, in nats.
    pub entropies: Tensor,
}

/// The REINFORCE loss of a batch, a mean over its words: −(r − b) · log π(choice), where a caption's reward r is the
/// mean log-probability of its words, constant for the gradient.
///
/// `word_log_probabilities` and `mask` (1 where a word is no padding) are `[images × captions, steps]`.
///
/// The baseline b of a caption is the mean reward of the batch's other captions (leave-one-out, Kool et al. 2019,
/// <https://openreview.net/forum?id=r1lgTGL5DE>): independent of the caption's own draws as a moving average would be,
/// without a state that an interrupted training could lose. The reward is a mean and not the sum of Xu et al. 2015,
/// because beside captions of other lengths the length would outweigh the draws.
///
/// # Errors
///
/// What libtorch says, of other shapes for example.
pub fn loss(choices: &Choices, word_log_probabilities: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let sum = |tensor: &Tensor| tensor.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    let is_caption = mask.f_amax([1i64].as_slice(), false)?;
    let rewards = sum(&word_log_probabilities.f_detach()?.f_mul(mask)?)?;
    let rewards = rewards.f_div(&sum(mask)?.f_clamp_min(1.0)?)?;
    let others = is_caption.f_sum(Kind::Float)?.f_sub_scalar(1.0)?.f_clamp_min(1.0)?;
    let baselines = rewards.f_sum(Kind::Float)?.f_sub(&rewards)?.f_div(&others)?;
    let advantages = rewards.f_sub(&baselines)?.f_mul(&is_caption)?;
    let weighed = advantages.f_mul(&sum(&choices.log_probabilities.f_mul(mask)?)?)?;
    weighed.f_neg()?.f_sum(Kind::Float)?.f_div(&words(mask)?)
}

/// Mean entropy per word.
///
/// # Errors
///
/// What libtorch says, of other shapes for example.
pub fn mean_entropy(choices: &Choices, mask: &Tensor) -> Result<Tensor, TchError> {
    choices.entropies.f_mul(mask)?.f_sum(Kind::Float)?.f_div(&words(mask)?)
}

fn words(mask: &Tensor) -> Result<Tensor, TchError> {
    mask.f_sum(Kind::Float)?.f_clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<const N: usize>(rows: [[f32; N]; 4]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([4, N as i64])
    }

    /// Captions of 2, 1 and 3 words and one that is all padding, by hand.
    fn example() -> (Choices, Tensor, Tensor) {
        let choices = Choices {
            log_probabilities: table([[-1.0, -2.0, 9.0], [-0.5, 9.0, 9.0], [-1.0, 0.0, -1.0], [9.0; 3]]),
            entropies: table([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0], [1.0, 1.0, 1.0], [9.0; 3]]),
        };
        let words = table([[-2.0, -4.0, -9.0], [-1.0, -9.0, -9.0], [-1.0, -2.0, -3.0], [-9.0; 3]]);
        let mask = table([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0; 3], [0.0; 3]]);
        (choices, words, mask)
    }

    #[test]
    fn the_loss_is_that_of_the_formula() {
        let (choices, words, mask) = example();
        // Rewards −3, −1, −2; baselines −1.5, −2.5, −2; advantages −1.5, 1.5, 0; log-probabilities −3, −0.5, −2.
        let expected = -(-1.5 * -3.0 + 1.5 * -0.5) / 6.0;
        assert!((loss(&choices, &words, &mask).unwrap().double_value(&[]) - expected).abs() < 1e-6);
        assert!((mean_entropy(&choices, &mask).unwrap().double_value(&[]) - 9.0 / 6.0).abs() < 1e-6);
    }

    #[test]
    fn padding_and_the_size_of_the_reward_change_nothing() {
        let (choices, words, mask) = example();
        let before = loss(&choices, &words, &mask).unwrap().double_value(&[]);
        let _ = words.get(3).fill_(5.0);
        assert!((loss(&choices, &words, &mask).unwrap().double_value(&[]) - before).abs() < 1e-6);
        // A reward that all captions get says nothing about the draws.
        assert!((loss(&choices, &(words - 4.0), &mask).unwrap().double_value(&[]) - before).abs() < 1e-5);
    }

    /// Two captions of one word, each drawing one of three regions: averaged over all nine outcomes, the estimate must
    /// be the gradient of the expected reward, which is known.
    #[test]
    fn its_gradient_is_right_in_expectation() {
        let rewards = [-1.0f32, -3.0, -0.5];
        let mask = Tensor::ones([2, 1], (Kind::Float, tch::Device::Cpu));
        let scores = || Tensor::from_slice(&[0.3f32, -0.2, 0.9]).set_requires_grad(true);
        let (exact, estimated) = (scores(), scores());
        let expected_reward =
            (exact.softmax(-1, Kind::Float) * Tensor::from_slice(&rewards)).sum(Kind::Float);
        (-expected_reward).backward();
        let log_shares = estimated.log_softmax(-1, Kind::Float);
        let mut total = Tensor::zeros([], (Kind::Float, tch::Device::Cpu));
        for (first, second) in (0..3).flat_map(|first| (0..3).map(move |second| (first, second))) {
            let log_probabilities = Tensor::stack(&[log_shares.get(first), log_shares.get(second)], 0);
            let outcome = log_probabilities.sum(Kind::Float).exp().detach();
            let choices =
                Choices { entropies: mask.zeros_like(), log_probabilities: log_probabilities.unsqueeze(1) };
            let words = Tensor::from_slice(&[rewards[first as usize], rewards[second as usize]]).unsqueeze(1);
            total += outcome * loss(&choices, &words, &mask).unwrap();
        }
        total.backward();
        assert!((exact.grad() - estimated.grad()).abs().max().double_value(&[]) < 1e-6);
    }
}
