// RMSProp: Tieleman, Hinton, "Lecture 6.5: Divide the gradient by a running average of its recent magnitude",
// Neural Networks for Machine Learning, Coursera 2012, as in PyTorch: L2 decay is added to the gradient,
// epsilon to the root; no bias correction, and no centred form.
//
//   d = g + weight_decay u
//   v = decay v + (1 - decay) d^2                     v starts at 0
//   u = u - rate d / (sqrt(v) + epsilon)              momentum 0
//   b = momentum b + d / (sqrt(v) + epsilon)          momentum > 0: b starts at 0, not stored for momentum 0
//   u = u - rate b
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::rules {
namespace {

constexpr std::size_t kBlock = 16;  // a constant length is what g++ -O2 needs to use vector instructions

struct Scalars {
  float rate, weight_decay, decay, one_minus_decay, epsilon, momentum;
};

/// d / (sqrt(v) + epsilon), v updated.
inline float normalised(float u, float g, float& v, const Scalars& s) {
  const float d = g + s.weight_decay * u;
  v = s.decay * v + s.one_minus_decay * d * d;
  return d / (std::sqrt(v) + s.epsilon);
}

void plain(float* __restrict u, const float* __restrict g, float* __restrict v, std::size_t size,
           const Scalars s) {
  std::size_t start = 0;
  for (; start + kBlock <= size; start += kBlock)
    for (std::size_t i = start; i < start + kBlock; ++i) u[i] -= s.rate * normalised(u[i], g[i], v[i], s);
  for (std::size_t i = start; i < size; ++i) u[i] -= s.rate * normalised(u[i], g[i], v[i], s);
}

inline void move(float& u, float g, float& v, float& b, const Scalars& s) {
  b = s.momentum * b + normalised(u, g, v, s);
  u -= s.rate * b;
}

void with_momentum(float* __restrict u, const float* __restrict g, float* __restrict v, float* __restrict b,
                   std::size_t size, const Scalars s) {
  std::size_t start = 0;
  for (; start + kBlock <= size; start += kBlock)
    for (std::size_t i = start; i < start + kBlock; ++i) move(u[i], g[i], v[i], b[i], s);
  for (std::size_t i = start; i < size; ++i) move(u[i], g[i], v[i], b[i], s);
}

class RmsProp final : public Optimizer {
 public:
  RmsProp(double decay, double epsilon, double momentum)
      : decay_(decay), epsilon_(epsilon), momentum_(momentum) {}

  std::vector<std::string> slot_names() const override {
    if (momentum_ > 0) return {"second_moment", "momentum"};
    return {"second_moment"};
  }
  int second_moment_slot() const override { return 0; }
  void update(const Slice& slice) const override {
    const Scalars s{.rate = static_cast<float>(slice.learning_rate),
                    .weight_decay = static_cast<float>(slice.weight_decay),
                    .decay = static_cast<float>(decay_),
                    .one_minus_decay = static_cast<float>(1 - decay_),
                    .epsilon = static_cast<float>(epsilon_),
                    .momentum = static_cast<float>(momentum_)};
    float* u = slice.u.data();
    float* v = slice.slots[0].data();
    if (momentum_ == 0) return plain(u, slice.g.data(), v, slice.u.size(), s);
    with_momentum(u, slice.g.data(), v, slice.slots[1].data(), slice.u.size(), s);
  }

 private:
  double decay_, epsilon_, momentum_;
};

}  // namespace

std::unique_ptr<Optimizer> read_rms_prop(spec::Reader& keys) {
  double decay = 0.99;
  double epsilon = 1e-8;
  double momentum = 0;
  const spec::Bounds below_one{.low = 0, .high = 1, .high_open = true};
  keys.field("decay", decay, below_one, "share of the mean squared gradient kept");
  keys.field("epsilon", epsilon, spec::positive, "added to the root of the second moment");
  keys.field("momentum", momentum, below_one, "share of the velocity kept");
  return std::make_unique<RmsProp>(decay, epsilon, momentum);
}

}  // namespace qtrain::optim::rules
