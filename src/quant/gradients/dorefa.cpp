// Gradients of DoReFa-Net: Zhou, Wu, Ni, Zhou, Wen, Zou (arXiv:1606.06160, 2016), within the backward pass.
//
//   f(dr) = 2 M [quantize_k(clip(dr / (2 M) + 1/2 + N, 0, 1)) - 1/2]
//   M = max |dr| over all but the batch's axis: one a sample
//   N = sigma / (2^k - 1), sigma uniform in [-1/2, 1/2)
//   quantize_k(x) = round((2^k - 1) x) / (2^k - 1), halves away from zero
//
// dr: gradient with respect to the output of each layer whose weights are quantized; what reaches its weights
// and its input comes from f(dr). M = 0 stays 0. k is `bits`. Clipping to [0, 1] is the authors' code's.
#include <algorithm>
#include <cmath>

#include "quant/gradient.hpp"

namespace qtrain::quant::gradients {
namespace {

class Dorefa final : public PropagatedQuantizer {
 public:
  explicit Dorefa(int bits) : top_(static_cast<float>((1 << bits) - 1)) {}

  void quantize(std::span<float> diff, RandomStream& random) const override {
    const float largest = largest_gradient(diff);
    if (largest == 0) return;
    for (float& dr : diff) {
      const float noise = (random.uniform() - 0.5F) / top_;
      const float x = std::clamp(dr / largest * 0.5F + 0.5F + noise, 0.0F, 1.0F);
      dr = 2 * largest * (std::round(top_ * x) / top_ - 0.5F);
    }
  }

 private:
  float top_;
};

}  // namespace

GradientMethod read_dorefa(spec::Reader& keys) {
  int bits = 6;
  keys.field("bits", bits, spec::between(1, 16), "k, bits of a gradient");
  return {.propagated = [bits] { return std::make_unique<Dorefa>(bits); }};
}

}  // namespace qtrain::quant::gradients
