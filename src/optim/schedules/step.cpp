// Steps at equal distances.
//
//   rate / base rate = factor^floor(epoch / every)    epoch = 0, 1, ...
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class Step final : public Schedule {
 public:
  Step(int every, double factor) : every_(every), factor_(factor) {}

  double factor(const Progress& progress) const override {
    const auto epoch = progress.step / progress.steps_per_epoch;
    return std::pow(factor_, static_cast<double>(epoch / every_));
  }

 private:
  int every_;
  double factor_;
};

}  // namespace

std::unique_ptr<Schedule> read_step(spec::Reader& keys) {
  int every = 30;
  double factor = 0.1;
  keys.field("every", every, spec::at_least(1), "epochs between drops");
  keys.field("factor", factor, spec::positive, "what each drop multiplies the rate by");
  return std::make_unique<Step>(every, factor);
}

}  // namespace qtrain::optim::curves
