// SwishSign straight-through estimator: Darabi, Belbahri, Courbariaux, Partovi Nia, "BNN+: Improved Binary
// Network Training", 2018 (arXiv:1812.11800).
//
//   mu(x)  = 2 s(b x) (1 + b x (1 - s(b x))) - 1      s(t) = 1 / (1 + e^-t), b = beta
//   mu'(x) = b (2 - b x tanh(b x / 2)) / (1 + cosh(b x))
//
// So mu'(0) = b, and mu' < 0 where |b x| is above 2.4; not scaled to any other height. Computed from
// e = e^-|b x| as 2 b e (2 (1 + e) - |b x| (1 - e)) / (1 + e)^3, and 0 for |b x| >= 88. Times the quantizer's
// average slope, which is 1 for sign and binary_step.
#include "kernels/reference/fast_exp.hpp"
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class SwishSign final : public Ste {
 public:
  explicit SwishSign(double beta) : beta_(static_cast<float>(beta)) {}
  void multiply(std::span<const float> x, const ActivationRange& range, std::span<float> g) const override {
    const float beta = beta_;
    const float height = 2 * beta_ * range.slope;
    multiply_by_exponential(
        x, g, [=](float value) { return beta * value; },
        [=](float value, float e) {
          const float t =
              kernels::reference::cut_exponent(beta * value);  // infinity times e = 0 would be no number
          const float sum = 1 + e;
          return height * e * (2 * sum - t * (1 - e)) / (sum * sum * sum);
        });
  }

 private:
  float beta_;
};

}  // namespace

SteFactory read_swish_sign(spec::Reader& keys) {
  double beta = 5;
  keys.field("beta", beta, {.low = 0, .high = 1000, .low_open = true}, "steepness of swish_sign at 0");
  return [beta] { return std::make_unique<SwishSign>(beta); };
}

}  // namespace qtrain::quant::ste
