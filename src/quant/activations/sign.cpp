// Sign: Hubara, Courbariaux, Soudry, El-Yaniv, Bengio, "Binarized Neural Networks", NeurIPS 2016
// (arXiv:1602.02830).
//
//   y = -1 if x < 0, else +1    so sign(0) = sign(-0) = +1
//
// One bit. No ReLU stands before it: the STE decides what passes on both sides of 0.
#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/activation_pairs.hpp"

namespace qtrain::quant::activations {
namespace {

class Sign final : public ActivationQuantizer {
 public:
  void forward(std::span<const float> x, std::span<float> codes) const override {
    kernels::active().sign(x.data(), codes.data(), x.size());
  }
  float scale() const override { return 1; }
  ActivationRange range() const override { return {.low = -1, .high = 1}; }
  int lowest_code() const override { return -1; }
  int highest_code() const override { return 1; }
  int levels() const override { return 2; }
};

}  // namespace

ActivationFactory read_sign(spec::Reader& /*keys*/, int /*bits*/) {
  return [](const ActivationTensor&) { return std::make_unique<Sign>(); };
}

std::string refuses_sign(const std::string& ste) { return refuses_one_sided("sign", ste); }

}  // namespace qtrain::quant::activations
