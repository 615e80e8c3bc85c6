// Weights of XNOR-Net: Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net: ImageNet Classification Using Binary
// Convolutional Neural Networks", ECCV 2016 (arXiv:1603.05279), and the authors' code.
//
//   u = u - mean of u over the input channels, at each output channel and place in the window
//   u = min(max(u, -1), 1)                                   both at the start and after each step
//   w = alpha sign(u)    alpha = mean |u| over each output channel
//
// gradient, with n weights an output channel and c input channels:
//   paper      gu_i = gw_i (1/n + alpha 1{|u_i| < 1})
//   exact      gu_i = sign(u_i)/n sum_j gw_j sign(u_j) + alpha gw_i 1{|u_i| <= 1}
//              that is the chain rule with all its terms
//   released   (1 - 1/c) n times that of `paper`; the authors' code has 1e9 as a further factor with Adam,
//              which its steps do not depend on and which is left out here
//
// With one input channel, and of biases, centring would leave nothing: it is left out, and so is its factor
// 1 - 1/c (the paper keeps the first layer in float). Biases of a layer share one alpha. sign(0) = sign(-0) =
// +1; weights that are all 0 have alpha = 0 and stay 0.
#include <algorithm>

#include "quant/scaled_sign.hpp"

namespace qtrain::quant::weights {
namespace {

class Xnor final : public ScaledSignMethod {
 public:
  Xnor(const WeightTensor& tensor, ScaledSignGradient gradient, bool released)
      : ScaledSignMethod(WeightGroups(tensor, "channel"), gradient), channels_(tensor.inputs()) {
    const auto c = static_cast<double>(channels_);
    const double centring = channels_ > 1 ? 1 - 1 / c : 1;
    if (released) factor_ = static_cast<float>(centring * static_cast<double>(groups_.size));
  }

  void initialize(std::span<const float> w, std::span<float> u) override {
    WeightMethod::initialize(w, u);
    centre_and_clamp(u);
  }
  void pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gu) override {
    ScaledSignMethod::pulled(u, w, gw, context, gu);
    if (factor_ != 1)
      for (float& g : gu) g *= factor_;
  }
  void settled(std::span<float> u, const WeightContext&) override { centre_and_clamp(u); }

 private:
  void centre_and_clamp(std::span<float> u) const {
    if (channels_ > 1)
      for (std::size_t group = 0; group < groups_.count; ++group) centre(groups_.of(u, group));
    for (float& value : u) value = std::clamp(value, -1.0F, 1.0F);
  }
  /// Of one output channel.
  void centre(std::span<float> u) const {
    const std::size_t window = u.size() / channels_;
    for (std::size_t place = 0; place < window; ++place) {
      double sum = 0;
      for (std::size_t i = place; i < u.size(); i += window) sum += static_cast<double>(u[i]);
      const auto mean = static_cast<float>(sum / static_cast<double>(channels_));
      for (std::size_t i = place; i < u.size(); i += window) u[i] -= mean;
    }
  }

  std::size_t channels_;  // input channels
  float factor_ = 1;
};

}  // namespace

WeightFactory read_xnor(spec::Reader& keys) {
  std::string gradient = "paper";
  keys.choice("gradient", gradient, {"paper", "exact", "released"}, "what stands for dw/du");
  const auto rule = gradient == "exact" ? ScaledSignGradient::exact : ScaledSignGradient::paper;
  return [rule, released = gradient == "released"](const WeightTensor& tensor) {
    return std::make_unique<Xnor>(tensor, rule, released);
  };
}

}  // namespace qtrain::quant::weights
