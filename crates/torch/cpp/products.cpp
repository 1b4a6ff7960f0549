// Matrix products with their gradients. On a CPU with AVX-512 oneDNN computes them: for few rows at a time it is faster than MKL,
// which libtorch chooses for fp32, and on processors that are not Intel's twice as fast or more. With AVX2 MKL is as good, within a tenth.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include "shim.h"

namespace at::native {
// libtorch exports it without a header: result = alpha · a · b + beta · result, of any strides.
void mkldnn_matmul(const Tensor& a, const Tensor& b, const Tensor& result, float beta, float alpha);
}  // namespace at::native

namespace captioning {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Whether libtorch lets oneDNN multiply here, fp32 too: it wants instructions for bf16, or AVX-512 that does for them.
bool has_onednn() {
#if defined(__x86_64__)
  if (!at::hasMKLDNN()) return false;
  static const bool has =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_is_mkldnn_bf16_supported", "").typed<bool()>().call();
  return has;
#else
  // Elsewhere libtorch's own products are the tested ones.
  return false;
#endif
}

// `a […, m, k]` and `b [… , k, n]`, both fp32 or both bf16, to fp32 `[…, m, n]`.
Tensor product(const Tensor& a, const Tensor& b) {
  TORCH_CHECK(a.size(-1) == b.size(-2), "shapes cannot be multiplied (", a.sizes(), " and ", b.sizes(), ")");
  if (!a.is_cpu() || !has_onednn()) return a.matmul(b).to(at::kFloat);
  auto shape = a.sizes().vec();
  shape.back() = b.size(-1);
  if (a.numel() == 0 || b.numel() == 0) return at::zeros(shape, a.options().dtype(at::kFloat));
  Tensor result = at::empty(shape, a.options());
  at::native::mkldnn_matmul(a, b, result, 0, 1);
  return result.to(at::kFloat);
}

Tensor rounded(const Tensor& x, bool bf16) { return bf16 ? x.to(at::kBFloat16) : x; }

Tensor rows(const Tensor& x) { return x.reshape({c10::multiply_integers(x.sizes().slice(0, x.dim() - 1)), x.size(-1)}); }

// x Wᵀ + b of `x […, inputs]`.
struct Linear : Function<Linear> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                        bool bf16) {
    const Tensor input = rounded(rows(x), bf16), factor = rounded(weight, bf16);
    context->save_for_backward({input, factor});
    context->saved_data["shape"] = x.sizes();
    context->saved_data["biased"] = bias.has_value();
    Tensor result = product(input, factor.t());
    if (bias) result.add_(*bias);
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return result.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list by) {
    const auto saved = context->get_saved_variables();
    const Tensor by_result = rows(by[0]), factor = rounded(by_result, saved[1].scalar_type() == at::kBFloat16);
    variable_list gradients(4);
    if (context->needs_input_grad(0))
      gradients[0] = product(factor, saved[1]).view(context->saved_data["shape"].toIntVector());
    if (context->needs_input_grad(1)) gradients[1] = product(factor.t(), saved[0]);
    if (context->saved_data["biased"].toBool() && context->needs_input_grad(2)) gradients[2] = by_result.sum(0);
    return gradients;
  }
};

// A factor that the products of many steps share. Its gradient is one product over all of them.
struct Shared : torch::CustomClassHolder {
  Tensor value;
  // Whether steps multiply by its transpose, as linear layers do.
  bool transposed;
  // Of the steps whose gradients are known, in the order in which they came.
  std::vector<Tensor> inputs, gradients;

  Shared(Tensor value, bool transposed) : value(std::move(value)), transposed(transposed) {}
  Tensor forward() const { return transposed ? value.transpose(-1, -2) : value; }
  Tensor backward() const { return transposed ? value : value.transpose(-1, -2); }
};
using SharedPointer = c10::intrusive_ptr<Shared>;

SharedPointer shared_of(AutogradContext* context) {
  return c10::static_intrusive_pointer_cast<Shared>(context->saved_data["shared"].toCapsule());
}

// Where steps meet again: its backward runs when those of all steps have. The token ties them to it.
struct Meet : Function<Meet> {
  static Tensor forward(AutogradContext* context, const Tensor& value, const SharedPointer& shared) {
    context->saved_data["shared"] = c10::IValue::make_capsule(shared);
    context->set_materialize_grads(false);
    return at::empty({0}, value.options());
  }

  static variable_list backward(AutogradContext* context, variable_list) {
    const auto shared = shared_of(context);
    variable_list by(2);
    if (!shared->inputs.empty()) {
      const Tensor input = at::cat(shared->inputs, -2), gradient = at::cat(shared->gradients, -2);
      by[0] = shared->transposed ? product(gradient.transpose(-1, -2), input) : product(input.transpose(-1, -2), gradient);
      shared->inputs.clear();
      shared->gradients.clear();
    }
    return by;
  }
};

struct SharedProduct : Function<SharedProduct> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& token, const SharedPointer& shared) {
    const Tensor input = rounded(x, shared->value.scalar_type() == at::kBFloat16);
    context->save_for_backward({input});
    context->saved_data["shared"] = c10::IValue::make_capsule(shared);
    return product(input, shared->forward());
  }

  static variable_list backward(AutogradContext* context, variable_list by) {
    const auto shared = shared_of(context);
    const Tensor gradient = rounded(by[0], shared->value.scalar_type() == at::kBFloat16);
    shared->inputs.push_back(context->get_saved_variables()[0].detach());
    shared->gradients.push_back(gradient);
    return {product(gradient, shared->backward()), Tensor(), Tensor()};
  }
};

struct Handle {
  SharedPointer shared;
  Tensor token;
};

}  // namespace
}  // namespace captioning

using captioning::guarded;
using captioning::Handle;

extern "C" {

const char* captioning_error() { return captioning::last_error().c_str(); }

int captioning_linear(at::Tensor** result, at::Tensor* x, at::Tensor* weight, at::Tensor* bias, int bf16) {
  return guarded([&] {
    const auto added = bias ? std::optional<at::Tensor>(*bias) : std::nullopt;
    *result = new at::Tensor(captioning::Linear::apply(*x, *weight, added, bf16 != 0));
  });
}

int captioning_shared(Handle** result, at::Tensor* value, int transposed, int bf16) {
  return guarded([&] {
    auto shared = c10::make_intrusive<captioning::Shared>(captioning::rounded(value->detach(), bf16 != 0), transposed != 0);
    auto token = captioning::Meet::apply(*value, shared);
    *result = new Handle{std::move(shared), std::move(token)};
  });
}

int captioning_shared_product(at::Tensor** result, Handle* handle, at::Tensor* x) {
  return guarded([&] {
    *result = new at::Tensor(captioning::SharedProduct::apply(*x, handle->token, handle->shared));
  });
}

void captioning_shared_free(Handle* handle) { delete handle; }

}  // extern "C"
