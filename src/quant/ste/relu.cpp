// Vanilla ReLU straight-through estimator: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding Straight-Through
// Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
//
//   mu'(x) = a if x > l, else 0    so mu'(l) = 0
//   l: where the quantizer leaves its lowest level (0 in the paper)    a: its average slope (1)
#include <limits>

#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class Relu final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    constexpr float kInfinite = std::numeric_limits<float>::infinity();
    kernels::active().window(x.data(), range.low, kInfinite, g.data(), g.size());
    multiply_by_slope(range.slope, g);
  }
};

}  // namespace

SteFactory read_relu(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<Relu>(); };
}

}  // namespace qtrain::quant::ste
