// Vanilla ReLU straight-through estimator: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding Straight-Through
// Estimator in Training Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662).
//
//   mu'(x) = 1 if x > 0, else 0    so mu'(0) = 0
#include <limits>

#include "kernels/kernels.hpp"
#include "quant/activation.hpp"

namespace qtrain::quant::ste {
namespace {

class Relu final : public Ste {
 public:
  void multiply(std::span<const float> x, const ActivationRange&, std::span<float> g) const override {
    kernels::active().window(x.data(), 0, std::numeric_limits<float>::infinity(), g.data(), g.size());
  }
};

}  // namespace

SteFactory read_relu(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<Relu>(); };
}

}  // namespace qtrain::quant::ste
