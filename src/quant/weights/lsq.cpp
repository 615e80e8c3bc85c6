// LSQ: Learned Step Size Quantization, Esser, McKinstry, Bablani, Appuswamy, Modha, ICLR 2020
// (arXiv:1902.08153), for weights.
//
//   w = s round(clip(u / s, -QN, QP))      QN = 2^(bits-1), QP = 2^(bits-1) - 1; halves round to even
//   gu = gw if -QN < u / s < QP, else 0
//   dw/ds = round(u / s) - u / s if -QN < u / s < QP;  -QN if u / s <= -QN;  QP if u / s >= QP
//   gs = sum_i gw_i dw_i/ds / sqrt(N QP)   N weights
//   s starts at 2 mean |u| / sqrt(QP) and is kept >= 1e-8; the mean of zeros (biases) counts as 1
//
// 1 bit, of which the paper does not speak: w = s sign(u), QN = QP = 1, sign(u) in place of round(u / s), s
// starts at mean |u|; sign(0) = sign(-0) = +1.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "quant/projections.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant::weights {
namespace {

constexpr float kLowestStep = 1e-8F;

class Lsq final : public WeightMethod {
 public:
  Lsq(int bits, double step_rate)
      : bits_(bits),
        low_(static_cast<float>(-(1 << (bits - 1)))),
        high_(bits == 1 ? 1 : -low_ - 1),
        step_rate_(step_rate) {}

  void initialize(std::span<const float> w, std::span<float> u) override {
    WeightMethod::initialize(w, u);
    const double magnitude = mean_magnitude(w), mean = magnitude > 0 ? magnitude : 1;
    const double start = bits_ == 1 ? mean : 2 * mean / std::sqrt(static_cast<double>(high_));
    step_[0] = std::max(static_cast<float>(start), kLowestStep);
  }
  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    const float s = step_[0];
    for (std::size_t i = 0; i < u.size(); ++i) w[i] = s * code(u[i] / s);
  }
  void pulled(std::span<const float> u, std::span<const float> /*w*/, std::span<const float> gw,
              const WeightContext&, std::span<float> gu) override {
    const float s = step_[0];
    double sum = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const float ratio = u[i] / s;
      const bool inside = ratio > low_ && ratio < high_;
      const float slope = inside ? code(ratio) - ratio : code(ratio);
      sum += static_cast<double>(gw[i]) * static_cast<double>(slope);
      gu[i] = inside ? gw[i] : 0.0F;
    }
    const double count = static_cast<double>(u.size());
    step_gradient_[0] = static_cast<float>(sum / std::sqrt(count * static_cast<double>(high_)));
  }

  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    for (std::size_t i = 0; i < w.size(); ++i) codes[i] = code(w[i] / step_[0]);
    scales[0] = step_[0];
    return true;
  }
  std::optional<CodeRange> code_range() const override {
    return CodeRange{static_cast<int>(low_), static_cast<int>(high_)};
  }
  int bits() const override { return bits_; }

  std::vector<LearnedParameter> learned() const override {
    return {{.name = "s",
             .unit = unit_of(bits_),
             .initial = {1},
             .learning_rate_factor = step_rate_,
             .low = kLowestStep}};
  }
  void bind(std::span<float> values, std::span<float> gradients) override {
    QTRAIN_CHECK(values.size() == 1 && gradients.size() == 1, "s bound to {} values", values.size());
    step_ = values;
    step_gradient_ = gradients;
  }

 private:
  float code(float ratio) const {
    if (bits_ == 1) return sign_of(ratio);
    return std::nearbyint(std::clamp(ratio, low_, high_)) + 0.0F;  // + 0: never -0
  }

  int bits_;
  float low_, high_;
  double step_rate_;
  std::span<float> step_, step_gradient_;
};

}  // namespace

WeightFactory read_lsq(spec::Reader& keys) {
  int bits = 4;
  double step_rate = 1;
  keys.field("bits", bits, spec::between(1, 8), "bits of a weight");
  keys.field("step_rate", step_rate, spec::non_negative, "factor on the learning rate of s");
  return [bits, step_rate](const WeightTensor&) { return std::make_unique<Lsq>(bits, step_rate); };
}

}  // namespace qtrain::quant::weights
