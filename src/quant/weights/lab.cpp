// Loss-aware binarization (LAB): Hou, Yao, Kwok, "Loss-aware Binarization of Deep Networks", ICLR 2017
// (arXiv:1611.01600). The binary tensor nearest to the latent one, as the loss's diagonal curvature d weighs:
//
//   min over alpha > 0 and b_i in {-1, 1} of 1/2 sum_i d_i (u_i - alpha b_i)^2         w = alpha b
//   b_i = sign(u_i), sign(0) = +1      alpha = sum_i d_i |u_i| / sum_i d_i             the exact optimum
//   gu = gw                            straight through
//   u = min(max(u, -clip), clip)       after each step; clip 0: not at all
//
//   curvature: optimizer     d = sqrt(v) + 1e-8 with the optimizer's second moment v, that of the step before
//   curvature: accumulator   v = 0.999 v + 0.001 gw^2 over gradients at w, from 0, as in the authors' code
//
// Adam's bias correction is a common factor of v and changes no alpha. Before the first step, and with an
// optimizer that has no second moment, d is constant: then alpha = mean |u|, the binary-weight network's. All
// u zero: alpha = 0. The clip is the authors' code's. One alpha a tensor.
#include <cmath>

#include "quant/loss_aware.hpp"

namespace qtrain::quant::weights {
namespace {

class Lab final : public LossAware {
 public:
  using LossAware::LossAware;

  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override {
    const std::span<const float> d = curvature(context);
    double weighted = 0;
    double total = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      weighted += static_cast<double>(d[i]) * std::abs(static_cast<double>(u[i]));
      total += static_cast<double>(d[i]);
    }
    const auto alpha = static_cast<float>(weighted / total);
    for (std::size_t i = 0; i < u.size(); ++i) w[i] = u[i] < 0 ? -alpha : alpha;
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    scales[0] = std::abs(w[0]);
    for (std::size_t i = 0; i < w.size(); ++i) codes[i] = std::copysign(1.0F, w[i]);
    return true;
  }
  std::optional<CodeRange> code_range() const override { return CodeRange{-1, 1, 2}; }
  int bits() const override { return 1; }
};

}  // namespace

WeightFactory read_lab(spec::Reader& keys) {
  LossAwareOptions options;
  options.read(keys);
  std::string scale = "tensor";
  keys.choice("scale", scale, {"tensor"}, "what one alpha serves");
  return [=](const WeightTensor& tensor) {
    return std::make_unique<Lab>(options, static_cast<std::size_t>(element_count(tensor.shape)));
  };
}

}  // namespace qtrain::quant::weights
