// Reverse exponential straight-through estimator: Long, Yin, Xin, "Learning Quantized Neural Nets by Coarse
// Gradient Method for Non-Linear Classification", Research in the Mathematical Sciences 2021
// (arXiv:2011.11256).
//
//   mu(x)  = q (1 - e^(-(x - l) / q))      for x > l, else 0
//   mu'(x) = a e^(-(x - l) / q)            for x > l, else 0    so mu'(l) = 0
//   l, q: where the quantizer starts to rise, and over what width (0 and L alpha)    a: its average slope (1)
//
// The paper has the unit step, q = L = 2^bits - 1; with step alpha its mu is stretched to q = L alpha. The
// exponential is right to 2e-7, and 0 beyond 88 q.
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class ReverseExponential final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    const float low = range.low;
    const float slope = range.slope;
    const float rate = 1 / (range.high - range.low);
    multiply_by_exponential(
        x, g, [=](float value) { return (value - low) * rate; },
        [=](float value, float e) { return kept_if(value > low, slope * e); });
  }
};

}  // namespace

SteFactory read_reverse_exponential(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<ReverseExponential>(); };
}

}  // namespace qtrain::quant::ste
