// Weights of DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients,
// Zhou, Wu, Ni, Zhou, Wen, Zou, 2016 (arXiv:1606.06160).
//
//   k > 1   w = 2 quantize_k(tanh(u) / (2 M) + 1/2) - 1    M = max |tanh u|
//           quantize_k(x) = round(x L) / L                 L = 2^k - 1, half to even
//           so w = (2 j - L) / L, j in {0..L}: odd multiples of 1/L, never 0
//           gu = gw (1 - tanh^2 u) / M                     straight through the rounding
//   k = 1   w = alpha sign(u), alpha = mean |u| of the whole tensor
//           gu = gw
//
// max_gradient: constant   M taken as a constant, as above
//               exact      and through M, as in the code in tensorpack (k > 1): where |u_m| is largest,
//                          gu_m = gu_m - sign(u_m) (1 - tanh^2 u_m) / M^2 sum_i gw_i tanh(u_i), shared
//                          equally by weights equally large
//
// sign(0) = sign(-0) = +1, also for k > 1: u = 0 gives w = 1/L. Weights that are all 0 give tanh(u) / M = 0
// and gu = 0. For k > 3 a quantized weight taken as u need not come out again, for tanh moves it.
#include <cmath>

#include "quant/scaled_sign.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant::weights {
namespace {

class Dorefa final : public WeightMethod {
 public:
  Dorefa(const WeightTensor& tensor, int bits, bool through_max)
      : groups_(tensor, "tensor"), bits_(bits), top_((1 << bits) - 1), through_max_(through_max) {}

  void used(std::span<const float> u, const WeightContext&, std::span<float> w) override {
    if (bits_ == 1) return scaled_sign(u, w);
    const auto top = static_cast<float>(top_);
    const double to_half = half_over(largest_tanh(u));
    for (std::size_t i = 0; i < u.size(); ++i) {
      const double x = static_cast<double>(std::tanh(u[i])) * to_half + 0.5;
      const auto level = static_cast<float>(std::nearbyint(x * static_cast<double>(top_)));
      w[i] = scale() * (2 * level - top);
    }
  }
  void pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gu) override {
    if (bits_ == 1) return WeightMethod::pulled(u, w, gw, context, gu);
    const float largest = largest_tanh(u);
    const auto factor = static_cast<float>(2 * half_over(largest));
    double sum = 0;
    std::size_t ties = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const float t = std::tanh(u[i]);
      gu[i] = gw[i] * (1 - t * t) * factor;
      sum += static_cast<double>(gw[i]) * static_cast<double>(t);
      ties += static_cast<std::size_t>(std::abs(t) == largest);
    }
    if (!through_max_ || largest == 0) return;
    const auto m = static_cast<double>(largest);
    const auto share = static_cast<float>((1 - m * m) / (m * m) * sum / static_cast<double>(ties));
    for (std::size_t i = 0; i < u.size(); ++i)
      if (std::abs(std::tanh(u[i])) == largest) gu[i] -= u[i] < 0 ? -share : share;
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    if (bits_ == 1) return groups_.codes(w, codes, scales);
    for (std::size_t i = 0; i < w.size(); ++i) codes[i] = std::nearbyint(w[i] * static_cast<float>(top_));
    scales[0] = scale();
    return true;
  }
  std::optional<CodeRange> code_range() const override { return CodeRange{-top_, top_, 2}; }
  int bits() const override { return bits_; }

 private:
  float scale() const { return 1 / static_cast<float>(top_); }
  static float largest_tanh(std::span<const float> u) { return std::tanh(largest_magnitude(u)); }
  static double half_over(float largest) { return largest == 0 ? 0 : 0.5 / static_cast<double>(largest); }

  WeightGroups groups_;
  int bits_;
  int top_;  // L
  bool through_max_;
};

}  // namespace

WeightFactory read_dorefa(spec::Reader& keys) {
  int bits = 2;
  std::string max_gradient = "constant";
  keys.field("bits", bits, spec::between(1, 8), "k");
  keys.choice("max_gradient", max_gradient, {"constant", "exact"}, "derivative to M = max |tanh u|");
  if (bits == 1 && max_gradient == "exact")
    keys.mistake("max_gradient", "is exact, must be constant with 1 bit, whose levels have no M");
  return [bits, through_max = max_gradient == "exact"](const WeightTensor& tensor) {
    return std::make_unique<Dorefa>(tensor, bits, through_max);
  };
}

}  // namespace qtrain::quant::weights
