// Division whenever the validation loss does not fall: the language models of Bai, Wang, Liberty,
// "ProxQuant", ICLR 2019 (arXiv:1810.00861), by 1.2; PyTorch's word language model, by 4.
//
//   rate / base rate = divisor^-n
//   n: epochs of the stage after which the loss was not below the lowest of the stage before
//
// The loss is val_loss, of the weights that training uses; an equal one is not below. Where the paper has it
// that the loss "does not improve over an epoch", it is compared to the lowest so far, as in PyTorch's model.
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class Plateau final : public Schedule {
 public:
  explicit Plateau(double divisor) : divisor_(divisor) {}

  double factor(const Progress& progress) const override {
    return std::pow(divisor_, -static_cast<double>(progress.plateaus));
  }
  bool wants_validation() const override { return true; }

 private:
  double divisor_;
};

}  // namespace

std::unique_ptr<Schedule> read_plateau(spec::Reader& keys) {
  double divisor = 1.2;
  keys.field("divisor", divisor, {.low = 1, .low_open = true},
             "what the rate is divided by after an epoch without a new lowest validation loss");
  return std::make_unique<Plateau>(divisor);
}

}  // namespace qtrain::optim::curves
