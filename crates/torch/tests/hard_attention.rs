//! Hard attention draws where to look, and learns it by what its draws are worth.
//!
//! A training that may end in a local optimum is judged with one seed, in a process whose generator nobody else draws from.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::decoder::{DecoderConfig, Dimensions, HardAttentionConfig};
use tch::nn::{OptimizerConfig, VarStore};
use tch::{Device, Kind, Reduction, Tensor};
use torch::decoder::{self, Decoder};
use torch::draws::Draws;
use torch::precision::Precision;

/// Seeds libtorch's generator for whoever holds what is returned.
fn alone(seed: i64) -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Tests run side by side already.
    tch::set_num_threads(1);
    tch::manual_seed(seed);
    alone
}

const REGIONS: i64 = 4;
const THINGS: i64 = 6;
const DIMENSIONS: Dimensions =
    Dimensions { channels: REGIONS + THINGS, regions: REGIONS, vocabulary: 4 + REGIONS + THINGS };

fn build(store: &VarStore) -> Box<dyn Decoder> {
    let config = HardAttentionConfig {
        embedding_size: 32,
        feature_size: 32,
        hidden_size: 32,
        attention_size: 32,
        dropout: 0.0,
        entropy_weight: 0.1,
        ..Default::default()
    };
    decoder::build(&DecoderConfig::HardAttention(config), &store.root(), DIMENSIONS, Precision::F32).unwrap()
}

/// Every region has a mark of its own, in some order, and shows some thing. The first word names a mark, the second
/// must name what the region with this mark shows: grid, words to read, region asked for and word to write.
fn questions(images: i64) -> (Tensor, Tensor, Tensor, Tensor) {
    let options = (Kind::Int64, Device::Cpu);
    let shown = Tensor::randint(THINGS, [images, REGIONS], options);
    let marks = Tensor::rand([images, REGIONS], (Kind::Float, Device::Cpu)).argsort(-1, false);
    let region = Tensor::randint(REGIONS, [images, 1], options);
    let grid = Tensor::cat(&[marks.one_hot(REGIONS), shown.one_hot(THINGS)], 2).to_kind(Kind::Float);
    let mark = marks.gather(1, &region, false) + 4;
    let words = Tensor::cat(&[&mark, &mark], 1).unsqueeze(1);
    (grid, words, region.flatten(0, 1), (shown.gather(1, &region, false) + 4 + REGIONS).flatten(0, 1))
}

/// By chance it is one region in four; a local optimum, where it mixes up two marks, is well above that.
#[test]
fn it_learns_which_region_to_look_at() {
    let _alone = alone(1);
    let store = VarStore::new(Device::Cpu);
    let decoder = build(&store);
    let mut adam = tch::nn::Adam::default().build(&store, 0.01).unwrap();
    let mask = Tensor::from_slice(&[0.0f32, 1.0]).expand([64, 2], false);
    for step in 0..400 {
        let (grid, words, _, target) = questions(64);
        let draws = Some(&Draws::new(step));
        let forced = decoder.forward(&decoder.encode(&grid, draws).unwrap(), &words, draws).unwrap();
        let logits = forced.padded().unwrap().select(1, 1);
        let losses = logits.cross_entropy_loss(&target, None::<Tensor>, Reduction::None, 0, 0.0);
        let likelihood = Tensor::stack(&[&losses.zeros_like(), &-&losses], 1);
        let choice = decoder.choice_loss(&forced.choices.unwrap(), &likelihood, &mask).unwrap().unwrap();
        adam.backward_step(&(losses.mean(Kind::Float) + choice));
    }
    let (grid, words, region, target) = questions(500);
    let forced = decoder.forward(&decoder.encode(&grid, None).unwrap(), &words, None).unwrap();
    let share = |right: Tensor| right.to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
    let written = forced.padded().unwrap().select(1, 1).argmax(-1, false);
    let looked = forced.attention.unwrap().select(1, 1).argmax(-1, false);
    let right = share(looked.eq_tensor(&region));
    assert!(right > 0.45, "it looks at the region asked for in {right} of the images");
    let right = share(written.eq_tensor(&target));
    assert!(right > 0.45, "it names {right} of the things asked for");
}

#[test]
fn half_of_the_captions_draw_a_region_at_every_step() {
    let _alone = alone(1);
    let store = VarStore::new(Device::Cpu);
    let decoder = build(&store);
    let (grid, ..) = questions(100);
    let words = Tensor::full([100, 2, 3], 4, (Kind::Int64, Device::Cpu));
    let draws = Some(&Draws::new(1));
    let forced = decoder.forward(&decoder.encode(&grid, draws).unwrap(), &words, draws).unwrap();
    let choices = forced.choices.unwrap();
    assert_eq!(choices.log_probabilities.size(), [200, 3]);
    let attention = forced.attention.unwrap();
    let drawn = attention.amax([-1i64].as_slice(), false).eq(1.0);
    // A caption draws at every step or at none, and has a log-probability where it does.
    assert_eq!(drawn.all_dim(1, false), drawn.any_dim(1, false));
    assert_eq!(drawn, choices.log_probabilities.ne(0.0));
    let captions = drawn.select(1, 0).sum(Kind::Int64).int64_value(&[]);
    assert!((70..=130).contains(&captions), "{captions} of 200 captions draw");
    let highest = (REGIONS as f64).ln() + 1e-6;
    assert!(
        choices.entropies.gt(0.0).logical_and(&choices.entropies.le(highest)).all().int64_value(&[]) == 1
    );
    assert!(decoder.forward(&decoder.encode(&grid, None).unwrap(), &words, None).unwrap().choices.is_none());
}
