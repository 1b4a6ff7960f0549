//! Zip archives of torch.save as a whole: mostly the container.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::read_weights(bytes));
