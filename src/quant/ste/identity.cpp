// Identity straight-through estimator: Bengio, Leonard, Courville, "Estimating or Propagating Gradients
// Through Stochastic Neurons for Conditional Computation", 2013 (arXiv:1308.3432); one of the three compared
// by Yin et al., ICLR 2019 (arXiv:1903.05662).
//
//   mu'(x) = a    for every x
//   a: average slope of the quantizer, 1 unless it says otherwise
#include "quant/activation.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::ste {
namespace {

class Identity final : public Ste {
 public:
  void multiply(std::span<const float>, const ActivationRange& range, std::span<float> g) const override {
    multiply_by_slope(range.slope, g);
  }
};

}  // namespace

SteFactory read_identity(spec::Reader& /*keys*/) {
  return [] { return std::make_unique<Identity>(); };
}

}  // namespace qtrain::quant::ste
