// ApproxSign straight-through estimator: Liu, Wu, Luo, Yang, Liu, Cheng, "Bi-Real Net: Enhancing the
// Performance of 1-bit CNNs with Improved Representational Capability and Advanced Training Algorithm", ECCV
// 2018 (arXiv:1808.00278).
//
//   mu(x)  = -1    2 x + x^2    2 x - x^2    1
//   mu'(x) = 0     2 + 2 x      2 - 2 x      0    for x < -1, -1 <= x < 0, 0 <= x < 1, x >= 1
//
// That is max(2 - 2 |x|, 0), with no ties; times the quantizer's average slope, which is 1 for sign and
// binary_step.
#include <cmath>

#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class ApproxSign final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    const float slope = range.slope;
    multiply_by(x, g, [=](float value) {
      const float inside = 2.0F - 2.0F * std::abs(value);
      return slope * kept_if(inside > 0, inside);
    });
  }
};

}  // namespace

SteFactory read_approx_sign(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<ApproxSign>(); };
}

}  // namespace qtrain::quant::ste
