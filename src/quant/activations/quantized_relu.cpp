// Quantized ReLU: Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding Straight-Through Estimator in Training
// Activation Quantized Neural Nets", ICLR 2019 (arXiv:1903.05662). Step learned as in Yin, Zhang, Lyu, Osher,
// Qi, Xin, "Blended Coarse Gradient Descent for Full Quantization of Deep Neural Networks", 2019
// (arXiv:1808.05240).
//
//   y = alpha k    k = 0 if x <= 0; k = min(ceil(x / alpha), L) if x > 0; L = 2^bits - 1
//                  so x = j alpha belongs to level j, and all x > L alpha to level L
//
// alpha: fixed     the fit below, or alpha_value, for the whole training
// alpha: learned   starts there and moves along s = sum_i gy_i D(x_i), with D in place of dy/dalpha:
//   alpha_gradient   x <= 0   0 < x <= L alpha   x > L alpha
//   ae               0        k                  L             exact almost everywhere
//   mean             0        2^(bits-1)         L             three-valued proxy
//   pact             0        0                  L             two-valued proxy
//   min              0        1                  L
//   alpha = clamp(alpha - rate clamp(alpha_rate s, -1, 1), 0.001, 5)    under plain SGD
//
// alpha_fit: released   1.2221, 0.6511, 0.1946 for 1, 2, 4 bits (authors' constants); other bits as nearest
//   otherwise the step of least mean squared error on |N(0, 1)| for levels chosen by
//   nearest: round(x / alpha) in {0..L}    ceil: as above    hwgq: round(x / alpha) in {1..L}
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "kernels/kernels.hpp"
#include "quant/activation.hpp"
#include "quant/activation_pairs.hpp"
#include "quant/half_gaussian.hpp"

namespace qtrain::quant::activations {
namespace {

constexpr double kLowestAlpha = 1e-3;
constexpr double kHighestAlpha = 5;

struct Options {
  int bits = 4;
  std::string alpha = "fixed";
  std::string alpha_fit = "released";
  double alpha_value = 0;
  std::string alpha_gradient = "mean";
  double alpha_rate = 0.01;
};

double fitted_alpha(const Options& options) {
  if (options.alpha_value > 0) return options.alpha_value;
  if (options.alpha_fit == "released") {
    if (options.bits == 1) return 1.2221;
    if (options.bits == 2) return 0.6511;
    if (options.bits == 4) return 0.1946;
  }
  const auto rounding = options.alpha_fit == "ceil"   ? Rounding::ceil
                        : options.alpha_fit == "hwgq" ? Rounding::positive
                                                      : Rounding::nearest;
  return half_gaussian_step(rounding, (1 << options.bits) - 1);
}

class QuantizedRelu final : public ActivationQuantizer {
 public:
  QuantizedRelu(const Options& options, double alpha)
      : options_(options),
        is_exact_(options.alpha_gradient == "ae"),
        top_((1 << options.bits) - 1),
        initial_(static_cast<float>(alpha)) {
    const auto top = static_cast<float>(top_);
    if (options.alpha_gradient == "mean") inside_ = static_cast<float>(1 << (options.bits - 1));
    if (options.alpha_gradient == "min") inside_ = 1;
    above_ = top;
  }

  void forward(std::span<const float> x, std::span<float> codes) const override {
    kernels::active().ceil_codes(x.data(), scale(), above_, codes.data(), x.size());
  }
  bool is_ceiling() const override { return true; }
  float scale() const override { return bound_ == nullptr ? initial_ : *bound_; }
  ActivationRange range() const override { return {.low = 0, .high = above_ * scale()}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return top_; }

  std::vector<LearnedParameter> learned() const override {
    if (options_.alpha == "fixed") return {};
    return {{.name = "alpha",
             .unit = unit_of(options_.bits),
             .initial = {initial_},
             .learning_rate_factor = options_.alpha_rate,
             .gradient_limit = 1 / options_.alpha_rate,  // the clamp to +-1 comes after the factor
             .low = static_cast<float>(kLowestAlpha),
             .high = static_cast<float>(kHighestAlpha)}};
  }
  void bind(std::span<const float> values) override {
    QTRAIN_CHECK(values.size() == 1, "alpha bound to {} values", values.size());
    bound_ = values.data();
  }
  void learned_gradient(std::span<const float> x, std::span<const float> gy,
                        std::span<double> gradients) const override {
    gradients[0] += is_exact_ ? exact_sum(x, gy) : proxy_sum(x, gy);
  }

 private:
  double exact_sum(std::span<const float> x, std::span<const float> gy) const {
    std::array<float, 256> codes;
    double sum = 0;
    for (std::size_t start = 0; start < x.size(); start += codes.size()) {
      const auto part = x.subspan(start, std::min(codes.size(), x.size() - start));
      forward(part, codes);
      for (std::size_t i = 0; i < part.size(); ++i) sum += static_cast<double>(gy[start + i]) * codes[i];
    }
    return sum;
  }
  double proxy_sum(std::span<const float> x, std::span<const float> gy) const {
    const float high = range().high;
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float factor = x[i] > high ? above_ : x[i] > 0 ? inside_ : 0;
      sum += static_cast<double>(gy[i]) * factor;
    }
    return sum;
  }

  Options options_;
  bool is_exact_;  // alpha_gradient: ae
  int top_;
  float initial_;
  float inside_ = 0;  // d y / d alpha for 0 < x <= L alpha (proxies)
  float above_ = 0;   // L
  const float* bound_ = nullptr;
};

}  // namespace

ActivationFactory read_quantized_relu(spec::Reader& keys, int bits) {
  Options options{.bits = bits};
  keys.choice("alpha", options.alpha, {"fixed", "learned"}, "whether the step is trained");
  keys.choice("alpha_fit", options.alpha_fit, {"released", "nearest", "ceil", "hwgq"},
              "where the step starts");
  keys.field("alpha_value", options.alpha_value, spec::between(0, kHighestAlpha),
             "the step itself, at least 0.001; 0: from alpha_fit");
  keys.choice("alpha_gradient", options.alpha_gradient, {"ae", "pact", "mean", "min"},
              "derivative to the step, when learned");
  keys.field("alpha_rate", options.alpha_rate, spec::positive, "factor on the step's gradient, when learned");
  if (options.alpha_value > 0 && options.alpha_value < kLowestAlpha) {
    keys.mistake("alpha_value", fmt::format("is {}, must be 0 or in [0.001, 5]", options.alpha_value));
  }
  const Options usual;
  if (options.alpha_value > 0 && options.alpha_fit != usual.alpha_fit)
    keys.mistake("alpha_fit", fmt::format("is {}, must be {} where alpha_value is the step, {}",
                                          options.alpha_fit, usual.alpha_fit, options.alpha_value));
  if (options.alpha == "fixed" && options.alpha_gradient != usual.alpha_gradient)
    keys.mistake("alpha_gradient", fmt::format("is {}, must be {} with alpha fixed: a learned step has one",
                                               options.alpha_gradient, usual.alpha_gradient));
  if (options.alpha == "fixed" && options.alpha_rate != usual.alpha_rate)
    keys.mistake("alpha_rate", fmt::format("is {}, must be {} with alpha fixed: a learned step has one",
                                           options.alpha_rate, usual.alpha_rate));
  return [options, alpha = fitted_alpha(options)](const ActivationTensor&) {
    return std::make_unique<QuantizedRelu>(options, alpha);
  };
}

std::string refuses_quantized_relu(const std::string& ste) {
  return refuses_two_sided("quantized_relu", ste);
}

}  // namespace qtrain::quant::activations
