//! The precision of products is a switch of the whole process: a test program of its own.
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use tch::{Device, Kind, Tensor};

#[test]
fn fast_products_are_nearly_those_of_fp32() {
    tch::manual_seed(1);
    let [a, b] = [(); 2].map(|()| Tensor::randn([256, 256], (Kind::Float, Device::Cpu)));
    let exact = a.to_kind(Kind::Double).matmul(&b.to_kind(Kind::Double));
    let error = || {
        let error = (a.matmul(&b).to_kind(Kind::Double) - &exact).abs().mean(Kind::Double);
        (error / exact.abs().mean(Kind::Double)).double_value(&[])
    };
    assert!(error() < 1e-6);
    torch::matmul::set_fast(true).unwrap();
    let fast = error();
    torch::matmul::set_fast(false).unwrap();
    assert!(fast < 1e-2 && error() < 1e-6, "{fast}");
}
