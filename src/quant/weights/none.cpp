// Weights stay float: the latent tensor is the one the layer uses.
//
//   w = u
#include <algorithm>

#include "quant/weight_method.hpp"

namespace qtrain::quant::weights {
namespace {

class None final : public WeightMethod {
 public:
  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    if (u.data() != w.data()) std::ranges::copy(u, w.begin());
  }
  int bits() const override { return 32; }
};

}  // namespace

WeightFactory read_none(spec::Reader& /*keys*/) {
  return [](const WeightTensor&) { return std::make_unique<None>(); };
}

}  // namespace qtrain::quant::weights
