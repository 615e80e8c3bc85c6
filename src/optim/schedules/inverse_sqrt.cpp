// Inverse square root by step: the eta_t = eta / sqrt(t) of regret analyses (for example Hou, Zhang, Kwok,
// "Analysis of Quantized Models", ICLR 2019).
//
//   rate / base rate = 1 / sqrt(t + 1)    t = 0, 1, ...: step
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class InverseSqrt final : public Schedule {
 public:
  double factor(const Progress& progress) const override {
    return 1 / std::sqrt(static_cast<double>(progress.step) + 1);
  }
};

}  // namespace

std::unique_ptr<Schedule> read_inverse_sqrt(spec::Reader& /*keys*/) {
  return std::make_unique<InverseSqrt>();
}

}  // namespace qtrain::optim::curves
