// Exponential decay by epoch, as in BinaryConnect (arXiv:1511.00363); there final_factor is the last rate
// over the first.
//
//   rate / base rate = factor^epoch                     epoch = 0, 1, ...
//   rate / base rate = final_factor^(epoch / epochs)    if final_factor > 0, which then replaces factor
#include <algorithm>
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class Exponential final : public Schedule {
 public:
  Exponential(double factor, double final_factor) : factor_(factor), final_(final_factor) {}

  double factor(const Progress& progress) const override {
    const auto epoch = static_cast<double>(progress.step / progress.steps_per_epoch);
    const auto epochs = static_cast<double>(std::max<std::int64_t>(progress.epochs, 1));
    return final_ > 0 ? std::pow(final_, epoch / epochs) : std::pow(factor_, epoch);
  }

 private:
  double factor_;
  double final_;
};

}  // namespace

std::unique_ptr<Schedule> read_exponential(spec::Reader& keys) {
  double factor = 0.95;
  double final_factor = 0;
  keys.field("factor", factor, spec::positive, "what each epoch multiplies the rate by");
  keys.field("final_factor", final_factor, spec::non_negative,
             "what all epochs of the stage together multiply it by; 0: use factor");
  return std::make_unique<Exponential>(factor, final_factor);
}

}  // namespace qtrain::optim::curves
