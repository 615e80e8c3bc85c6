// Steps at given epochs, the schedule of most residual-network papers.
//
//   rate / base rate = factor^n    n: number of milestones <= epoch
//   epoch = 0, 1, ..., so milestone 80 is the start of the 81st
#include <algorithm>
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class Multistep final : public Schedule {
 public:
  Multistep(std::vector<int> milestones, double factor)
      : milestones_(std::move(milestones)), factor_(factor) {}

  double factor(const Progress& progress) const override {
    const auto epoch = progress.step / progress.steps_per_epoch;
    const auto passed = std::ranges::count_if(milestones_, [&](int milestone) { return milestone <= epoch; });
    return std::pow(factor_, static_cast<double>(passed));
  }

 private:
  std::vector<int> milestones_;
  double factor_;
};

}  // namespace

std::unique_ptr<Schedule> read_multistep(spec::Reader& keys) {
  std::vector<int> milestones = {80, 140};
  double factor = 0.1;
  keys.field("milestones", milestones, spec::at_least(1), "epochs at whose start the rate drops, rising");
  keys.field("factor", factor, spec::positive, "what each milestone multiplies the rate by");
  if (std::ranges::adjacent_find(milestones, std::greater_equal<>()) != milestones.end()) {
    keys.mistake("milestones", "does not rise, must be a list of rising epochs");
  }
  return std::make_unique<Multistep>(std::move(milestones), factor);
}

}  // namespace qtrain::optim::curves
