// GD-tanh, the baseline of Ajanthan, Gupta, Torr, Hartley, Dokania, "Mirror Descent View for Neural Network
// Quantization", AISTATS 2021 (arXiv:1910.08237): gradient descent through an annealed tanh.
//
//   levels: binary    w = tanh(beta u)
//                     gu = gw beta (1 - w^2)
//   levels: ternary   w = (tanh(beta (u + 1/2)) + tanh(beta (u - 1/2))) / 2           shifted tanh
//                     gu = gw beta/2 (2 - tanh^2(beta (u + 1/2)) - tanh^2(beta (u - 1/2)))
//   final             binary sign(u), sign(0) = +1; ternary 0 if -1/2 < u < 1/2, else sign(u)
//   beta(k)           min(beta_start rho^ceil(k / I), beta_limit) at step k = 0, 1, ...
//
// u starts at the initial weights. 1 - tanh^2 is computed without cancellation, so gu is right, and finite,
// for any beta up to 1e35; what passes the range of float is cut to it. rho and I default to the authors'
// code's values of MD-tanh-S for ResNet-18 on CIFAR-10.
#include <cmath>

#include "quant/tanh_projection.hpp"

namespace qtrain::quant::weights {
namespace {

/// 1 - tanh(x)^2
double tanh_slope(double x) {
  const double e = std::exp(-2 * std::abs(x));
  return 4 * e / ((1 + e) * (1 + e));
}

class GdTanh final : public TanhProjection {
 public:
  using TanhProjection::TanhProjection;

  void pulled(std::span<const float> u, std::span<const float> /*w*/, std::span<const float> gw,
              const WeightContext& context, std::span<float> gu) override {
    const double beta = annealing_.beta(context.step);
    for (std::size_t i = 0; i < u.size(); ++i) {
      const auto x = static_cast<double>(u[i]);
      const double slope = levels_ == UnitLevels::binary
                               ? tanh_slope(beta * x)
                               : 0.5 * (tanh_slope(beta * (x + 0.5)) + tanh_slope(beta * (x - 0.5)));
      gu[i] = finite_float(static_cast<double>(gw[i]) * beta * slope);
    }
  }
};

}  // namespace

WeightFactory read_gd_tanh(spec::Reader& keys) {
  const UnitLevels levels = read_unit_levels(keys);
  Annealing annealing;
  annealing.read(keys);
  return [=](const WeightTensor&) { return std::make_unique<GdTanh>(levels, annealing); };
}

}  // namespace qtrain::quant::weights
