// Clipped ReLU straight-through estimator: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding Straight-Through
// Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
//
//   mu'(x) = a if l < x <= h, else 0    so mu'(l) = 0 and mu'(h) = a
//   l, h: between which the quantizer rises (0 and L alpha in the paper)    a: its average slope (1)
#include "quant/window_ste.hpp"

namespace qtrain::quant::ste {
namespace {

class ClippedRelu final : public WindowSte {
  ActivationRange window_of(const ActivationRange& range) const override { return range; }
};

}  // namespace

SteFactory read_clipped_relu(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<ClippedRelu>(); };
}

}  // namespace qtrain::quant::ste
