// Hard tanh straight-through estimator: Hubara, Courbariaux, Soudry, El-Yaniv, Bengio, "Binarized Neural
// Networks", NeurIPS 2016 (arXiv:1602.02830).
//
//   mu'(x) = 1 if |x| <= 1, else 0    so mu'(-1) = mu'(1) = 1
//
// The window is that of the paper, whatever the quantizer; times its average slope, which is 1 for sign and
// binary_step. XNOR-Net (arXiv:1603.05279) has |x| < 1, which differs on the two ends alone.
#include <cmath>

#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class HardTanh final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    const float below = std::nextafter(-1.0F, -2.0F);  // the window leaves out its lower end
    kernels::active().window(x.data(), below, 1, g.data(), g.size());
    multiply_by_slope(range.slope, g);
  }
};

}  // namespace

SteFactory read_hard_tanh(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<HardTanh>(); };
}

}  // namespace qtrain::quant::ste
