// Hard tanh straight-through estimator: Hubara, Courbariaux, Soudry, El-Yaniv, Bengio, "Binarized Neural
// Networks", NeurIPS 2016 (arXiv:1602.02830).
//
//   mu'(x) = 1 if |x| <= 1, else 0    so mu'(-1) = mu'(1) = 1
//
// The window is that of the paper, whatever the quantizer; times its average slope, which is 1 for sign and
// binary_step. XNOR-Net (arXiv:1603.05279) has |x| < 1, which differs on the two ends alone.
#include <cmath>

#include "quant/window_ste.hpp"

namespace qtrain::quant::ste {
namespace {

class HardTanh final : public WindowSte {
  ActivationRange window_of(const ActivationRange& range) const override {
    // The window leaves out its lower end.
    return {std::nextafter(-1.0F, -2.0F), 1, range.slope};
  }
};

}  // namespace

SteFactory read_hard_tanh(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<HardTanh>(); };
}

}  // namespace qtrain::quant::ste
