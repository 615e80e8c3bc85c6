// Clipped ReLU straight-through estimator: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding Straight-Through
// Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
//
//   mu'(x) = 1 if 0 < x <= h, else 0    so mu'(0) = 0 and mu'(h) = 1
//   h: where the quantizer saturates (L alpha)
#include "kernels/kernels.hpp"
#include "quant/activation.hpp"

namespace qtrain::quant::ste {
namespace {

class ClippedRelu final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    kernels::active().window(x.data(), 0, range.high, g.data(), g.size());
  }
};

}  // namespace

SteFactory read_clipped_relu(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<ClippedRelu>(); };
}

}  // namespace qtrain::quant::ste
