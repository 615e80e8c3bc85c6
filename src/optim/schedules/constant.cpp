// Constant learning rate.
//
//   rate / base rate = 1
#include "optim/optimizer.hpp"

namespace qtrain::optim::curves {
namespace {

class Constant final : public Schedule {
 public:
  double factor(const Progress&) const override { return 1; }
};

}  // namespace

std::unique_ptr<Schedule> read_constant(spec::Reader& /*keys*/) { return std::make_unique<Constant>(); }

}  // namespace qtrain::optim::curves
