// Element-wise parts of a training step in as few passes over memory as they need, with their gradients: fp32 on one thread.
// Elsewhere the same is composed of libtorch's operations (recurrent.rs, layers.rs, teaching.rs).
#include <torch/csrc/autograd/custom_function.h>
#include <ATen/ops/_fused_adamw.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "shim.h"

// Compiled once for each width of vector registers; the loader takes what the processor has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

namespace captioning {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// eˣ within 2 units in the last place, without branches: 2ⁿ times a polynomial on ±ln 2 / 2 (Moshier's Cephes, expf).
inline __attribute__((always_inline)) float exponential(float x) {
  x = x > 88.0f ? 88.0f : x;
  x = x < -87.0f ? -87.0f : x;
  // Rounds to a whole number: beyond 2²³ there are no others.
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // The lowest bits of the sum are n.
  int32_t bits;
  std::memcpy(&bits, &shifted, 4);
  bits = (bits << 23) + 0x3f800000;
  float power;
  std::memcpy(&power, &bits, 4);
  return p * power;
}

inline __attribute__((always_inline)) float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

inline __attribute__((always_inline)) float hyperbolic_tangent(float x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

// One row of an LSTM's gates in the order input, forget, cell, output; the activations take the place of the sums.
WIDE void gates_forward(int64_t size, const float* __restrict sums, const float* __restrict known,
                        const float* __restrict cell, float* __restrict activations, float* __restrict next_hidden,
                        float* __restrict next_cell) {
  for (int64_t i = 0; i < size; ++i) {
    const float input = sigmoid(sums[i] + known[i]);
    const float forget = sigmoid(sums[size + i] + known[size + i]);
    const float fresh = hyperbolic_tangent(sums[2 * size + i] + known[2 * size + i]);
    const float output = sigmoid(sums[3 * size + i] + known[3 * size + i]);
    const float kept = forget * cell[i] + input * fresh;
    activations[i] = input;
    activations[size + i] = forget;
    activations[2 * size + i] = fresh;
    activations[3 * size + i] = output;
    next_cell[i] = kept;
    next_hidden[i] = output * hyperbolic_tangent(kept);
  }
}

WIDE void gates_backward(int64_t size, const float* __restrict activations, const float* __restrict cell,
                         const float* __restrict next_cell, const float* __restrict by_hidden,
                         const float* __restrict by_next_cell, float* __restrict by_sums, float* __restrict by_cell) {
  for (int64_t i = 0; i < size; ++i) {
    const float input = activations[i], forget = activations[size + i], fresh = activations[2 * size + i];
    const float output = activations[3 * size + i], bent = hyperbolic_tangent(next_cell[i]);
    const float by_kept = by_next_cell[i] + by_hidden[i] * output * (1.0f - bent * bent);
    by_sums[i] = by_kept * fresh * input * (1.0f - input);
    by_sums[size + i] = by_kept * cell[i] * forget * (1.0f - forget);
    by_sums[2 * size + i] = by_kept * input * (1.0f - fresh * fresh);
    by_sums[3 * size + i] = by_hidden[i] * bent * output * (1.0f - output);
    by_cell[i] = by_kept * forget;
  }
}

// Gradients that nothing gave are zeros.
Tensor or_zeros(const Tensor& gradient, const Tensor& like) {
  return gradient.defined() ? gradient.contiguous() : at::zeros_like(like);
}

// From a product and what else adds to the gates, both `[…, 4 × hidden]`, and the cell `[…, hidden]` to the next state.
struct Gates : Function<Gates> {
  static variable_list forward(AutogradContext* context, const Tensor& product, const Tensor& addend, const Tensor& before) {
    const Tensor sums = product.contiguous(), known = addend.contiguous(), cell = before.contiguous();
    TORCH_CHECK(sums.sizes() == known.sizes() && sums.numel() == 4 * cell.numel(), "gates of other sizes than their state");
    const int64_t size = cell.size(-1), rows = size ? cell.numel() / size : 0;
    Tensor activations = at::empty_like(sums), hidden = at::empty_like(cell), next = at::empty_like(cell);
    for (int64_t row = 0; row < rows; ++row)
      gates_forward(size, sums.const_data_ptr<float>() + 4 * size * row, known.const_data_ptr<float>() + 4 * size * row,
                    cell.const_data_ptr<float>() + size * row, activations.mutable_data_ptr<float>() + 4 * size * row,
                    hidden.mutable_data_ptr<float>() + size * row, next.mutable_data_ptr<float>() + size * row);
    context->save_for_backward({activations, cell, next});
    context->set_materialize_grads(false);
    return {hidden, next};
  }

  static variable_list backward(AutogradContext* context, variable_list by) {
    const auto saved = context->get_saved_variables();
    const Tensor &activations = saved[0], &cell = saved[1], &next = saved[2];
    const Tensor by_hidden = or_zeros(by[0], cell), by_next = or_zeros(by[1], cell);
    const int64_t size = cell.size(-1), rows = size ? cell.numel() / size : 0;
    Tensor by_sums = at::empty_like(activations), by_cell = at::empty_like(cell);
    for (int64_t row = 0; row < rows; ++row)
      gates_backward(size, activations.const_data_ptr<float>() + 4 * size * row, cell.const_data_ptr<float>() + size * row,
                     next.const_data_ptr<float>() + size * row, by_hidden.const_data_ptr<float>() + size * row,
                     by_next.const_data_ptr<float>() + size * row, by_sums.mutable_data_ptr<float>() + 4 * size * row,
                     by_cell.mutable_data_ptr<float>() + size * row);
    return {by_sums, by_sums, by_cell};
  }
};

// Σ 2w · σ(key + 2 query) of one row of queries over all regions of its image.
WIDE void energies_forward(int64_t regions, int64_t size, const float* __restrict keys, const float* __restrict query,
                           const float* __restrict weight, float* __restrict energies) {
  for (int64_t region = 0; region < regions; ++region) {
    const float* key = keys + region * size;
    float lanes[16] = {};
    int64_t i = 0;
    for (; i + 16 <= size; i += 16)
      for (int64_t lane = 0; lane < 16; ++lane)
        lanes[lane] += weight[i + lane] * sigmoid(key[i + lane] + 2.0f * query[i + lane]);
    for (; i < size; ++i) lanes[0] += weight[i] * sigmoid(key[i] + 2.0f * query[i]);
    float sum = 0.0f;
    for (float lane : lanes) sum += lane;
    energies[region] = 2.0f * sum;
  }
}

WIDE void energies_backward(int64_t regions, int64_t size, const float* __restrict keys, const float* __restrict query,
                            const float* __restrict weight, const float* __restrict by, float* __restrict by_keys,
                            float* __restrict by_query, float* __restrict by_weight) {
  for (int64_t region = 0; region < regions; ++region) {
    const float* key = keys + region * size;
    float* by_key = by_keys + region * size;
    const float scale = 2.0f * by[region];
    for (int64_t i = 0; i < size; ++i) {
      const float share = sigmoid(key[i] + 2.0f * query[i]);
      const float slope = scale * weight[i] * share * (1.0f - share);
      by_key[i] += slope;
      by_query[i] += 2.0f * slope;
      by_weight[i] += scale * share;
    }
  }
}

// Of doubled keys `[images, regions, size]`, queries `[images, rows, size]` and w `[1, size]`: `[images, rows, regions]`.
struct Energies : Function<Energies> {
  static Tensor forward(AutogradContext* context, const Tensor& of_keys, const Tensor& of_query, const Tensor& of_energy) {
    const Tensor keys = of_keys.contiguous(), query = of_query.contiguous(), energy = of_energy.contiguous();
    TORCH_CHECK(keys.dim() == 3 && query.dim() == 3 && keys.size(0) == query.size(0) && keys.size(2) == query.size(2) &&
                    energy.numel() == keys.size(2),
                "queries of other sizes than their keys");
    const int64_t images = keys.size(0), regions = keys.size(1), rows = query.size(1), size = keys.size(2);
    Tensor result = at::empty({images, rows, regions}, keys.options());
    for (int64_t row = 0; row < images * rows; ++row)
      energies_forward(regions, size, keys.const_data_ptr<float>() + row / rows * regions * size,
                       query.const_data_ptr<float>() + row * size, energy.const_data_ptr<float>(),
                       result.mutable_data_ptr<float>() + row * regions);
    context->save_for_backward({keys, query, energy});
    return result;
  }

  static variable_list backward(AutogradContext* context, variable_list by) {
    const auto saved = context->get_saved_variables();
    const Tensor &keys = saved[0], &query = saved[1], &energy = saved[2], by_result = by[0].contiguous();
    const int64_t images = keys.size(0), regions = keys.size(1), rows = query.size(1), size = keys.size(2);
    Tensor by_keys = at::zeros_like(keys), by_query = at::zeros_like(query), by_energy = at::zeros_like(energy);
    for (int64_t row = 0; row < images * rows; ++row)
      energies_backward(regions, size, keys.const_data_ptr<float>() + row / rows * regions * size,
                        query.const_data_ptr<float>() + row * size, energy.const_data_ptr<float>(),
                        by_result.const_data_ptr<float>() + row * regions,
                        by_keys.mutable_data_ptr<float>() + row / rows * regions * size,
                        by_query.mutable_data_ptr<float>() + row * size, by_energy.mutable_data_ptr<float>());
    return {by_keys, by_query, by_energy};
  }
};

WIDE void masked(int64_t count, const float* __restrict x, const uint8_t* __restrict draws, uint8_t bound, float scale,
                 float* __restrict result) {
  for (int64_t i = 0; i < count; ++i) result[i] = draws[i] >= bound ? x[i] * scale : 0.0f;
}

// Zero where the number's byte is below `bound`, times 256 / (256 - bound) elsewhere.
struct Dropout : Function<Dropout> {
  static Tensor apply_mask(const Tensor& values, const Tensor& draws, int64_t bound) {
    const Tensor x = values.contiguous();
    TORCH_CHECK(draws.numel() == x.numel() && draws.scalar_type() == at::kByte, "a draw for each number is needed");
    Tensor result = at::empty_like(x);
    masked(x.numel(), x.const_data_ptr<float>(), draws.const_data_ptr<uint8_t>(), static_cast<uint8_t>(bound),
           256.0f / (256.0f - static_cast<float>(bound)), result.mutable_data_ptr<float>());
    return result;
  }

  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& draws, int64_t bound) {
    context->save_for_backward({draws});
    context->saved_data["bound"] = bound;
    return apply_mask(x, draws, bound);
  }

  static variable_list backward(AutogradContext* context, variable_list by) {
    return {apply_mask(by[0], context->get_saved_variables()[0], context->saved_data["bound"].toInt()), Tensor(), Tensor()};
  }
};

// ln Σ e^scores of a row, and the sum of its scores.
WIDE void log_sum(int64_t size, const float* __restrict scores, float* __restrict of_exponentials,
                  float* __restrict of_scores) {
  float most[16], sum[16] = {}, plain[16] = {};
  std::fill_n(most, 16, scores[0]);
  int64_t i = 0;
  for (; i + 16 <= size; i += 16)
    for (int64_t lane = 0; lane < 16; ++lane) most[lane] = std::max(most[lane], scores[i + lane]);
  for (; i < size; ++i) most[0] = std::max(most[0], scores[i]);
  const float largest = *std::max_element(most, most + 16);
  for (i = 0; i + 16 <= size; i += 16)
    for (int64_t lane = 0; lane < 16; ++lane) {
      sum[lane] += exponential(scores[i + lane] - largest);
      plain[lane] += scores[i + lane];
    }
  for (; i < size; ++i) {
    sum[0] += exponential(scores[i] - largest);
    plain[0] += scores[i];
  }
  float exponentials = 0.0f, scores_sum = 0.0f;
  for (int64_t lane = 0; lane < 16; ++lane) {
    exponentials += sum[lane];
    scores_sum += plain[lane];
  }
  *of_exponentials = largest + std::log(exponentials);
  *of_scores = scores_sum;
}

WIDE void by_scores(int64_t size, const float* __restrict scores, float log_sum, float by_all, float by_each,
                    float* __restrict result) {
  for (int64_t i = 0; i < size; ++i) result[i] = by_each - by_all * exponential(scores[i] - log_sum);
}

// Of scores `[rows, vocabulary]` the log-probability of each row's target, and the mean of those of all words, `[rows]` each.
struct LogProbabilities : Function<LogProbabilities> {
  static variable_list forward(AutogradContext* context, const Tensor& of_scores, const Tensor& of_target) {
    const Tensor scores = of_scores.contiguous(), target = of_target.contiguous();
    const int64_t rows = scores.size(0), size = scores.size(1);
    TORCH_CHECK(size > 0 && target.numel() == rows && target.scalar_type() == at::kLong, "a target for each row is needed");
    Tensor sums = at::empty({rows}, scores.options()), chosen = at::empty_like(sums), mean = at::empty_like(sums);
    const int64_t* words = target.const_data_ptr<int64_t>();
    for (int64_t row = 0; row < rows; ++row) {
      TORCH_CHECK(words[row] >= 0 && words[row] < size, "word ", words[row], " is not in the vocabulary");
      const float* own = scores.const_data_ptr<float>() + row * size;
      float log, plain;
      log_sum(size, own, &log, &plain);
      sums.mutable_data_ptr<float>()[row] = log;
      chosen.mutable_data_ptr<float>()[row] = own[words[row]] - log;
      mean.mutable_data_ptr<float>()[row] = plain / static_cast<float>(size) - log;
    }
    context->save_for_backward({scores, target, sums});
    context->set_materialize_grads(false);
    return {chosen, mean};
  }

  static variable_list backward(AutogradContext* context, variable_list by) {
    const auto saved = context->get_saved_variables();
    const Tensor &scores = saved[0], &target = saved[1], &sums = saved[2];
    const Tensor by_chosen = or_zeros(by[0], sums), by_mean = or_zeros(by[1], sums);
    const int64_t rows = scores.size(0), size = scores.size(1);
    Tensor result = at::empty_like(scores);
    for (int64_t row = 0; row < rows; ++row) {
      const float chosen = by_chosen.const_data_ptr<float>()[row], mean = by_mean.const_data_ptr<float>()[row];
      float* own = result.mutable_data_ptr<float>() + row * size;
      by_scores(size, scores.const_data_ptr<float>() + row * size, sums.const_data_ptr<float>()[row], chosen + mean,
                mean / static_cast<float>(size), own);
      own[target.const_data_ptr<int64_t>()[row]] += chosen;
    }
    return {result, Tensor()};
  }
};

}  // namespace
}  // namespace captioning

using captioning::guarded;

extern "C" {

int captioning_gates(at::Tensor** hidden, at::Tensor** next, at::Tensor* product, at::Tensor* known, at::Tensor* cell) {
  return guarded([&] {
    auto state = captioning::Gates::apply(*product, *known, *cell);
    *hidden = new at::Tensor(state[0]);
    *next = new at::Tensor(state[1]);
  });
}

int captioning_energies(at::Tensor** result, at::Tensor* keys, at::Tensor* query, at::Tensor* energy) {
  return guarded([&] { *result = new at::Tensor(captioning::Energies::apply(*keys, *query, *energy)); });
}

int captioning_dropout(at::Tensor** result, at::Tensor* x, at::Tensor* draws, int64_t bound) {
  return guarded([&] { *result = new at::Tensor(captioning::Dropout::apply(*x, *draws, bound)); });
}

int captioning_log_probabilities(at::Tensor** chosen, at::Tensor** mean, at::Tensor* scores, at::Tensor* target) {
  return guarded([&] {
    auto found = captioning::LogProbabilities::apply(*scores, *target);
    *chosen = new at::Tensor(found[0]);
    *mean = new at::Tensor(found[1]);
  });
}

// A step of AdamW in one pass, the `step`th; the gradient is multiplied by `scale` first.
int captioning_adamw(at::Tensor* value, at::Tensor* gradient, at::Tensor* mean, at::Tensor* square, int64_t step,
                     double learning_rate, double beta_1, double beta_2, double weight_decay, double epsilon, double scale) {
  return guarded([&] {
    at::NoGradGuard no_gradients;
    const at::Tensor count = at::full({}, static_cast<double>(step), value->options());
    const at::Tensor divisor = at::full({}, 1.0 / scale, value->options());
    at::_fused_adamw_({*value}, {*gradient}, {*mean}, {*square}, {}, {count}, learning_rate, beta_1, beta_2, weight_decay,
                      epsilon, false, false, divisor);
  });
}

}  // extern "C"
