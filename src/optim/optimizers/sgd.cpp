// Stochastic gradient descent with momentum (Polyak 1964), as in PyTorch: no dampening, the rate outside the
// velocity.
//
//   d = g + weight_decay u
//   v = momentum v + d                 v starts at 0; not stored for momentum 0
//   u = u - rate v                     plain
//   u = u - rate (d + momentum v)      nesterov: Sutskever, Martens, Dahl, Hinton, ICML 2013
#include "optim/optimizer.hpp"

namespace qtrain::optim::rules {
namespace {

constexpr std::size_t kBlock = 16;  // a constant length is what g++ -O2 needs to use vector instructions

struct Scalars {
  float rate, decay, momentum;
};

void plain(float* __restrict u, const float* __restrict g, std::size_t size, const Scalars& s) {
  for (std::size_t i = 0; i < size; ++i) u[i] -= s.rate * (g[i] + s.decay * u[i]);
}

template <bool kNesterov>
inline void move(float& u, float g, float& v, const Scalars& s) {
  const float d = g + s.decay * u;
  v = s.momentum * v + d;
  u -= s.rate * (kNesterov ? d + s.momentum * v : v);
}

template <bool kNesterov>
void with_momentum(float* __restrict u, const float* __restrict g, float* __restrict v, std::size_t size,
                   const Scalars s) {
  std::size_t start = 0;
  for (; start + kBlock <= size; start += kBlock)
    for (std::size_t i = start; i < start + kBlock; ++i) move<kNesterov>(u[i], g[i], v[i], s);
  for (std::size_t i = start; i < size; ++i) move<kNesterov>(u[i], g[i], v[i], s);
}

class Sgd final : public Optimizer {
 public:
  Sgd(double momentum, bool nesterov) : momentum_(static_cast<float>(momentum)), nesterov_(nesterov) {}

  std::vector<std::string> slot_names() const override {
    return momentum_ > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
  }
  void update(const Slice& slice) const override {
    const Scalars s{static_cast<float>(slice.learning_rate), static_cast<float>(slice.weight_decay),
                    momentum_};
    float* u = slice.u.data();
    if (momentum_ == 0) return plain(u, slice.g.data(), slice.u.size(), s);
    const auto rule = nesterov_ ? with_momentum<true> : with_momentum<false>;
    rule(u, slice.g.data(), slice.slots[0].data(), slice.u.size(), s);
  }

 private:
  float momentum_;
  bool nesterov_;
};

}  // namespace

std::unique_ptr<Optimizer> read_sgd(spec::Reader& keys) {
  double momentum = 0.9;
  bool nesterov = false;
  keys.field("momentum", momentum, {.low = 0, .high = 1, .high_open = true}, "share of the velocity kept");
  keys.field("nesterov", nesterov, "look ahead along the velocity");
  if (nesterov && momentum == 0) keys.mistake("nesterov", "is true, but needs momentum > 0");
  return std::make_unique<Sgd>(momentum, nesterov);
}

}  // namespace qtrain::optim::rules
