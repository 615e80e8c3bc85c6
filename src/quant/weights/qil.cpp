// QIL: Learning to Quantize Deep Networks by Optimizing Quantization Intervals with Task Loss, Jung, Son,
// Lee, Son, Han, Kwak, Hwang, Choi, CVPR 2019 (arXiv:1808.05779), for weights; c, d and gamma are learned,
// one of each a tensor.
//
//   t  = 0.5 (|u| - c) / d + 0.5           0 .. 1 over the interval [c - d, c + d]
//   w^ = 0 if |u| < c - d;  sign(u) if |u| > c + d;  else t^gamma sign(u)
//   w  = round(w^ q) / q                   q = 2^(bits-1) - 1; halves round to even
// Straight through the rounding, exact through the transformer; in the interval, k = gamma t^(gamma-1):
//   dw/du     = 0.5 k / d                  dw/dc     = -0.5 k / d sign(u)
//   dw/dd     = -k (t - 0.5) / d sign(u)   dw/dgamma = t^gamma ln t sign(u), 0 at t = 0
// and all four are 0 outside it. Gradients of c, d, gamma are summed over the tensor.
//
// w has no scale (it lies in [-1, 1]), so a batch norm should follow. sign(0) = sign(-0) = +1: where c < d an
// exact 0 is a small positive weight. Choices of this file, not of the paper: c = d = reach * max |u| / 2
// (the largest of zeros, biases, counts as 1) and gamma = 1 at the start; c >= 0 (an interval that left the
// axis of |u| would have no weight in it, and nothing would bring it back), d >= 1e-5 and gamma >= 0.1 after
// each step; t >= 1e-6 in k; the learning rate of the three is times interval_rate; gamma learned from 2 bits
// on, as Algorithm 1 updates it, or fixed at 1.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "quant/projections.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::quant::weights {
namespace {

constexpr float kLowestHalfWidth = 1e-5F;
constexpr float kLowestPower = 0.1F;
constexpr double kLowestPosition = 1e-6;

/// t^gamma without the cost of pow where gamma is 1.
double power(double t, double gamma) { return gamma == 1 ? t : std::pow(t, gamma); }

struct Interval {
  double c, d, gamma;
  double position(double magnitude) const { return std::clamp(0.5 * (magnitude - c) / d + 0.5, 0.0, 1.0); }
};

struct Options {
  int bits = 4;
  std::string gamma = "learned";
  double interval_rate = 0.01, reach = 1;
};

class Qil final : public WeightMethod {
 public:
  explicit Qil(const Options& options)
      : bits_(options.bits),
        top_(static_cast<float>((1 << (options.bits - 1)) - 1)),
        learns_gamma_(options.gamma == "learned"),
        interval_rate_(options.interval_rate),
        reach_(options.reach) {}

  void initialize(std::span<const float> w, std::span<float> u) override {
    WeightMethod::initialize(w, u);
    float largest = 0;
    for (const float value : w) largest = std::max(largest, std::abs(value));
    if (largest == 0) largest = 1;
    values_[0] = values_[1] = std::max(static_cast<float>(0.5 * reach_) * largest, kLowestHalfWidth);
    if (learns_gamma_) values_[2] = 1;
  }
  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    const Interval now = interval();
    for (std::size_t i = 0; i < u.size(); ++i) w[i] = 1 / top_ * code(u[i], now);
  }
  void pulled(std::span<const float> u, std::span<const float> /*w*/, std::span<const float> gw,
              const WeightContext&, std::span<float> gu) override {
    const auto [c, d, gamma] = interval();
    const Interval now{c, d, gamma};
    double sum_c = 0, sum_d = 0, sum_gamma = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const double magnitude = std::abs(static_cast<double>(u[i]));
      gu[i] = 0;
      if (magnitude < c - d || magnitude > c + d) continue;
      const double t = now.position(magnitude);
      const double slope = gamma * power(std::max(t, kLowestPosition), gamma - 1) / d;  // k / d
      const double g = static_cast<double>(gw[i]);
      const double signed_g = g * static_cast<double>(sign_of(u[i]));
      gu[i] = static_cast<float>(0.5 * slope * g);
      sum_c -= 0.5 * slope * signed_g;
      sum_d -= slope * (t - 0.5) * signed_g;
      if (learns_gamma_ && t > 0) sum_gamma += power(t, gamma) * std::log(t) * signed_g;
    }
    gradients_[0] = static_cast<float>(sum_c);
    gradients_[1] = static_cast<float>(sum_d);
    if (learns_gamma_) gradients_[2] = static_cast<float>(sum_gamma);
  }

  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    for (std::size_t i = 0; i < w.size(); ++i) codes[i] = std::nearbyint(w[i] * top_);
    scales[0] = 1 / top_;
    return true;
  }
  std::optional<CodeRange> code_range() const override {
    return CodeRange{-static_cast<int>(top_), static_cast<int>(top_)};
  }
  int bits() const override { return bits_; }

  std::vector<LearnedParameter> learned() const override {
    std::vector<LearnedParameter> parameters = {
        {.name = "c", .initial = {1}, .learning_rate_factor = interval_rate_, .low = 0},
        {.name = "d", .initial = {1}, .learning_rate_factor = interval_rate_, .low = kLowestHalfWidth},
        {.name = "gamma", .initial = {1}, .learning_rate_factor = interval_rate_, .low = kLowestPower}};
    if (!learns_gamma_) parameters.pop_back();
    return parameters;
  }
  void bind(std::span<float> values, std::span<float> gradients) override {
    QTRAIN_CHECK(values.size() == (learns_gamma_ ? 3 : 2), "an interval bound to {} values", values.size());
    values_ = values;
    gradients_ = gradients;
  }

 private:
  Interval interval() const {
    const float gamma = learns_gamma_ ? values_[2] : 1;
    return {static_cast<double>(values_[0]), static_cast<double>(values_[1]), static_cast<double>(gamma)};
  }
  float code(float u, const Interval& now) const {
    const double magnitude = std::abs(static_cast<double>(u));
    if (magnitude < now.c - now.d) return 0;
    const double full = magnitude > now.c + now.d ? 1 : power(now.position(magnitude), now.gamma);
    const double level = std::nearbyint(full * static_cast<double>(top_));
    return level == 0 ? 0.0F : sign_of(u) * static_cast<float>(level);
  }

  int bits_;
  float top_;  // q
  bool learns_gamma_;
  double interval_rate_, reach_;
  std::span<float> values_, gradients_;  // c, d, and gamma if it is learned
};

}  // namespace

WeightFactory read_qil(spec::Reader& keys) {
  Options options;
  keys.field("bits", options.bits, spec::between(2, 8), "bits of a weight");
  keys.choice("gamma", options.gamma, {"fixed", "learned"}, "whether gamma is trained, or stays 1");
  keys.field("interval_rate", options.interval_rate, spec::non_negative,
             "factor on the learning rate of c, d, gamma");
  keys.field("reach", options.reach, spec::positive,
             "the first interval goes from 0 to reach times the largest magnitude");
  return [options](const WeightTensor&) { return std::make_unique<Qil>(options); };
}

}  // namespace qtrain::quant::weights
