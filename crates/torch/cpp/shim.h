// What the functions that Rust calls share: an error is kept for the caller, never thrown past C.
#pragma once
#include <ATen/ATen.h>
#include <string>

namespace captioning {

inline std::string& last_error() {
  static thread_local std::string error;
  return error;
}

// What `compute` gives, 0; or 1 and a message.
template <typename Compute>
int guarded(Compute compute) {
  try {
    compute();
    return 0;
  } catch (const std::exception& error) {
    last_error() = error.what();
    return 1;
  } catch (...) {
    last_error() = "an unknown exception";
    return 1;
  }
}

}  // namespace captioning
