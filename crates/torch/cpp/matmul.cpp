// What libtorch offers and its Rust binding does not: how precisely matrices of fp32 are multiplied.
#include <ATen/Context.h>

// Returns 0, or 1 when libtorch refused.
extern "C" int captioning_set_fast_matmul(int fast) {
  try {
    // "medium" lets oneDNN round the factors to bf16; sums stay fp32.
    at::globalContext().setFloat32MatmulPrecision(fast ? "medium" : "highest");
    return 0;
  } catch (...) {
    return 1;
  }
}
