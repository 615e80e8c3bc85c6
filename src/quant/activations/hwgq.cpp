// Half-wave Gaussian quantization: Cai, He, Sun, Vasconcelos, "Deep Learning with Low Precision by Half-wave
// Gaussian Quantization", CVPR 2017 (arXiv:1702.00953), the uniform quantizer.
//
//   y = a k    k = 0 if x <= 0; k = the nearest to x / a of 1..L if x > 0; L = 2^bits - 1
//              half way between two: the lower; no x > 0 has level 0, and all x > L a have level L
//   a: step of least mean squared error on |N(0, 1)|: 0.79788, 0.53881, 0.32173, 0.18424 for 1 to 4 bits
//
// The step is fixed, so each quantized layer should see normalised inputs.
#include "quant/activation.hpp"
#include "quant/activation_pairs.hpp"
#include "quant/blocks.hpp"
#include "quant/half_gaussian.hpp"

namespace qtrain::quant::activations {
namespace {

class Hwgq final : public ActivationQuantizer {
 public:
  Hwgq(int bits, double step) : top_((1 << bits) - 1), step_(static_cast<float>(step)) {}

  void forward(std::span<const float> x, std::span<float> codes) const override {
    const float step = step_;
    const auto top = static_cast<float>(top_);
    map_blocks(x, codes, [=](float value) {
      const float t = clamped(value / step - 0.5F, top);  // rounded up below, so what is half way goes down
      const float nearest = nearest_integer(t);
      const float up = nearest + kept_if(nearest < t, 1);
      const float least = kept_if(value > 0, 1);
      return up > least ? up : least;
    });
  }
  float scale() const override { return step_; }
  ActivationRange range() const override { return {.low = 0, .high = static_cast<float>(top_) * step_}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return top_; }

 private:
  int top_;
  float step_;
};

}  // namespace

ActivationFactory read_hwgq(spec::Reader& /*keys*/, int bits) {
  return [bits, step = half_gaussian_step(Rounding::positive, (1 << bits) - 1)](const ActivationTensor&) {
    return std::make_unique<Hwgq>(bits, step);
  };
}

std::string refuses_hwgq(const std::string& ste) { return refuses_two_sided("hwgq", ste); }

}  // namespace qtrain::quant::activations
