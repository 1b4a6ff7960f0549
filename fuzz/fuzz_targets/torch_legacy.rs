//! Files of torch.save from before PyTorch 1.6.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::read_weights(bytes));
