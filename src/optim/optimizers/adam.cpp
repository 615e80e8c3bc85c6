// Adam: A Method for Stochastic Optimization, Kingma, Ba, ICLR 2015 (arXiv:1412.6980), Algorithm 1, as in
// PyTorch: L2 decay is added to the gradient, epsilon to the bias-corrected root.
//
//   d = g + weight_decay u
//   m = beta1 m + (1 - beta1) d
//   v = beta2 v + (1 - beta2) d^2                                            m and v start at 0
//   u = u - rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)     t = 1, 2, ...
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim::rules {
namespace {

constexpr std::size_t kBlock = 16;  // a constant length is what g++ -O2 needs to use vector instructions

struct Scalars {
  float decay, beta1, one_minus_beta1, beta2, one_minus_beta2, rate, root_correction, epsilon;
};

inline void move(float& u, float g, float& m, float& v, const Scalars& s) {
  const float d = g + s.decay * u;
  m = s.beta1 * m + s.one_minus_beta1 * d;
  v = s.beta2 * v + s.one_minus_beta2 * d * d;
  u -= s.rate * m / (std::sqrt(v) / s.root_correction + s.epsilon);
}

void move_all(float* __restrict u, const float* __restrict g, float* __restrict m, float* __restrict v,
              std::size_t size, const Scalars s) {
  std::size_t start = 0;
  for (; start + kBlock <= size; start += kBlock)
    for (std::size_t i = start; i < start + kBlock; ++i) move(u[i], g[i], m[i], v[i], s);
  for (std::size_t i = start; i < size; ++i) move(u[i], g[i], m[i], v[i], s);
}

class Adam final : public Optimizer {
 public:
  Adam(double beta1, double beta2, double epsilon) : beta1_(beta1), beta2_(beta2), epsilon_(epsilon) {}

  std::vector<std::string> slot_names() const override { return {"first_moment", "second_moment"}; }
  int second_moment_slot() const override { return 1; }
  void update(const Slice& slice) const override {
    const auto t = static_cast<double>(slice.step + 1);
    const Scalars s{.decay = static_cast<float>(slice.weight_decay),
                    .beta1 = static_cast<float>(beta1_),
                    .one_minus_beta1 = static_cast<float>(1 - beta1_),
                    .beta2 = static_cast<float>(beta2_),
                    .one_minus_beta2 = static_cast<float>(1 - beta2_),
                    .rate = static_cast<float>(slice.learning_rate / (1 - std::pow(beta1_, t))),
                    .root_correction = static_cast<float>(std::sqrt(1 - std::pow(beta2_, t))),
                    .epsilon = static_cast<float>(epsilon_)};
    move_all(slice.u.data(), slice.g.data(), slice.slots[0].data(), slice.slots[1].data(), slice.u.size(), s);
  }

 private:
  double beta1_, beta2_, epsilon_;
};

}  // namespace

std::unique_ptr<Optimizer> read_adam(spec::Reader& keys) {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  const spec::Bounds below_one{.low = 0, .high = 1, .high_open = true};
  keys.field("beta1", beta1, below_one, "share of the mean gradient kept");
  keys.field("beta2", beta2, below_one, "share of the mean squared gradient kept");
  keys.field("epsilon", epsilon, spec::positive, "added to the root of the second moment");
  return std::make_unique<Adam>(beta1, beta2, epsilon);
}

}  // namespace qtrain::optim::rules
