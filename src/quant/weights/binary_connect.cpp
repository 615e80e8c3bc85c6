// BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
// Courbariaux, Bengio, David, NeurIPS 2015 (arXiv:1511.00363), Algorithm 1, deterministic form.
//
//   w  = -1 if u < 0, else +1      so sign(0) = sign(-0) = +1
//   gu = gw                        straight through, no window
//   u  = min(max(u, -1), 1)        after each step
//
// The authors' code also multiplies each update by 1 / sqrt(1.5 / (fan_in + fan_out)); Algorithm 1 does not,
// nor does this file.
#include <algorithm>

#include "kernels/kernels.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::quant::weights {
namespace {

class BinaryConnect final : public WeightMethod {
 public:
  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    kernels::active().sign(u.data(), w.data(), u.size());
  }
  void settled(std::span<float> u, const WeightContext&) override {
    for (float& value : u) value = std::clamp(value, -1.0F, 1.0F);
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    std::ranges::copy(w, codes.begin());
    scales[0] = 1;
    return true;
  }
  std::optional<CodeRange> code_range() const override { return CodeRange{-1, 1}; }
  int bits() const override { return 1; }
};

}  // namespace

WeightFactory read_binary_connect(spec::Reader& /*keys*/) {
  return [](const WeightTensor&) { return std::make_unique<BinaryConnect>(); };
}

}  // namespace qtrain::quant::weights
