// Vanilla ReLU straight-through estimator: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding Straight-Through
// Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
//
//   mu'(x) = a if x > l, else 0    so mu'(l) = 0
//   l: where the quantizer leaves its lowest level (0 in the paper)    a: its average slope (1)
#include <limits>

#include "quant/window_ste.hpp"

namespace qtrain::quant::ste {
namespace {

class Relu final : public WindowSte {
  ActivationRange window_of(const ActivationRange& range) const override {
    return {range.low, std::numeric_limits<float>::infinity(), range.slope};
  }
};

}  // namespace

SteFactory read_relu(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<Relu>(); };
}

}  // namespace qtrain::quant::ste
