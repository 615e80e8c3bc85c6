// Parameterized clipping activation: Choi, Wang, Venkataramani, Chuang, Srinivasan, Gopalakrishnan, "PACT:
// Parameterized Clipping Activation for Quantized Neural Networks", 2018 (arXiv:1805.06085).
//
//   y = round(min(max(x, 0), alpha) L / alpha) alpha / L    L = 2^bits - 1, half way to the even integer
//   dy/dalpha = 1 if x >= alpha, else 0                     alpha is learned, and kept at 0.001 or above
//   decay alpha is added to alpha's gradient: the paper's L2 regularization, as large as that of the weights
//
// The paper's dy/dx is 1 for 0 <= x < alpha: ste clipped_relu, which leaves out x = 0 and has x = alpha. Its
// decay is not told for each net; the default here is that of its ResNet-20 on CIFAR-10, as far as
// remembered. `initial` is for inputs of variance 1, a choice made here.
#include <array>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/activation_pairs.hpp"
#include "quant/blocks.hpp"

namespace qtrain::quant::activations {
namespace {

constexpr double kLowestAlpha = 1e-3;
constexpr double kHighestStart = 1e6;

class Pact final : public ActivationQuantizer {
 public:
  Pact(int bits, double initial, double decay)
      : top_((1 << bits) - 1), initial_(static_cast<float>(initial)), decay_(decay) {}

  void forward(std::span<const float> x, std::span<float> codes) const override {
    const float step = scale();
    const auto top = static_cast<float>(top_);
    map_blocks(x, codes, [=](float value) { return nearest_code(value / step, top); });
  }
  float scale() const override { return alpha() / static_cast<float>(top_); }
  ActivationRange range() const override { return {.low = 0, .high = alpha()}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return top_; }

  std::vector<LearnedParameter> learned() const override {
    return {
        {.name = "alpha", .initial = {initial_}, .decay = decay_, .low = static_cast<float>(kLowestAlpha)}};
  }
  void bind(std::span<const float> values) override {
    QTRAIN_CHECK(values.size() == 1, "alpha bound to {} values", values.size());
    bound_ = values.data();
  }
  void learned_gradient(std::span<const float> x, std::span<const float> gy,
                        std::span<double> gradients) const override {
    constexpr float kInfinite = std::numeric_limits<float>::infinity();
    std::array<double, 2> sums{};
    kernels::active().window_sums(x.data(), std::nextafter(alpha(), -kInfinite), kInfinite, gy.data(),
                                  sums.data(), x.size());
    gradients[0] += sums[0];
  }

 private:
  float alpha() const { return bound_ == nullptr ? initial_ : *bound_; }

  int top_;
  float initial_;
  double decay_;
  const float* bound_ = nullptr;
};

}  // namespace

ActivationFactory read_pact(spec::Reader& keys, int bits) {
  double initial = 3, decay = 2e-4;
  keys.field("initial", initial, spec::between(kLowestAlpha, kHighestStart),
             "where the clipping level alpha starts");
  keys.field("decay", decay, spec::non_negative, "L2 decay of alpha");
  return [=](const ActivationTensor&) { return std::make_unique<Pact>(bits, initial, decay); };
}

std::string refuses_pact(const std::string& ste) { return refuses_two_sided("pact", ste); }

}  // namespace qtrain::quant::activations
