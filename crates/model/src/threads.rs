//! How many threads libtorch computes with.

/// Turns libtorch's inner threads off: in this thread at once, in other threads of the process when they first compute.
///
/// Extraction and captioning run independent batches side by side, one for each core, so that no core waits for another.
/// Their programs call this once when they begin; libraries call it only in threads that they start themselves.
pub fn single() {
    tch::set_num_threads(1);
}
