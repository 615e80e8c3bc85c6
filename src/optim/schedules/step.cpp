// Steps at equal distances, from an epoch on.
//
//   rate / base rate = factor^floor(max(epoch - start, 0) / every)    epoch = 0, 1, ...
#include <algorithm>
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class Step final : public Schedule {
 public:
  Step(int every, int start, double factor) : every_(every), start_(start), factor_(factor) {}

  double factor(const Progress& progress) const override {
    const auto epoch = progress.step / progress.steps_per_epoch;
    return std::pow(factor_, static_cast<double>(std::max<std::int64_t>(epoch - start_, 0) / every_));
  }

 private:
  int every_, start_;
  double factor_;
};

}  // namespace

std::unique_ptr<Schedule> read_step(spec::Reader& keys) {
  int every = 30, start = 0;
  double factor = 0.1;
  keys.field("every", every, spec::at_least(1), "epochs between drops");
  keys.field("start", start, spec::non_negative, "epoch from which on they are counted");
  keys.field("factor", factor, spec::positive, "what each drop multiplies the rate by");
  return std::make_unique<Step>(every, start, factor);
}

}  // namespace qtrain::optim::curves
