// Clipped ReLU straight-through estimator: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding Straight-Through
// Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
//
//   mu'(x) = a if l < x <= h, else 0    so mu'(l) = 0 and mu'(h) = a
//   l, h: between which the quantizer rises (0 and L alpha in the paper)    a: its average slope (1)
#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class ClippedRelu final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    kernels::active().window(x.data(), range.low, range.high, g.data(), g.size());
    multiply_by_slope(range.slope, g);
  }
};

}  // namespace

SteFactory read_clipped_relu(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<ClippedRelu>(); };
}

}  // namespace qtrain::quant::ste
