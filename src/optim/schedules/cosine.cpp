// Cosine annealing without restarts, by step: SGDR, Loshchilov, Hutter, ICLR 2017 (arXiv:1608.03983),
// equation 5.
//
//   rate / base rate = f + (1 - f) (1 + cos(pi t / T)) / 2
//   t: step, T: steps of the stage, f: final_factor, which holds from t = T on
#include <algorithm>
#include <cmath>
#include <numbers>

#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class Cosine final : public Schedule {
 public:
  explicit Cosine(double final_factor) : final_(final_factor) {}

  double factor(const Progress& progress) const override {
    const auto steps =
        static_cast<double>(std::max<std::int64_t>(progress.steps_per_epoch * progress.epochs, 1));
    const double done = std::min(static_cast<double>(progress.step) / steps, 1.0);
    return final_ + (1 - final_) * (1 + std::cos(std::numbers::pi * done)) / 2;
  }

 private:
  double final_;
};

}  // namespace

std::unique_ptr<Schedule> read_cosine(spec::Reader& keys) {
  double final_factor = 0;
  keys.field("final_factor", final_factor, spec::fraction, "share of the rate left at the end");
  return std::make_unique<Cosine>(final_factor);
}

}  // namespace qtrain::optim::curves
