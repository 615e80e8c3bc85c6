// Binary step: the activation of the theory in Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding
// Straight-Through Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
//
//   y = 1 if x > 0, else 0    so the step of 0 is 0
//
// One bit. The range that an STE sees is 0 to 1.
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::activations {
namespace {

class BinaryStep final : public ActivationQuantizer {
 public:
  void forward(std::span<const float> x, std::span<float> codes) const override {
    map_blocks(x, codes, [](float value) { return kept_if(value > 0, 1); });
  }
  float scale() const override { return 1; }
  ActivationRange range() const override { return {.low = 0, .high = 1}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return 1; }
};

}  // namespace

ActivationFactory read_binary_step(spec::Reader& /*keys*/, int /*bits*/) {
  return [](const ActivationTensor&) { return std::make_unique<BinaryStep>(); };
}

std::string refuses_binary_step(const std::string& /*ste*/) { return ""; }

}  // namespace qtrain::quant::activations
