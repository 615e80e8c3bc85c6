#include "quant/tanh_projection.hpp"

#include <algorithm>
#include <cmath>

namespace qtrain::quant {
namespace {

/// tanh(x) for any x; +-1 beyond 20, where float knows no difference.
float saturating_tanh(double x) { return std::tanh(static_cast<float>(std::clamp(x, -20.0, 20.0))); }

}  // namespace

void TanhProjection::used(std::span<const float> u, const WeightContext& context, std::span<float> w) {
  const double beta = annealing_.beta(context.step);
  if (levels_ == UnitLevels::binary) {
    for (std::size_t i = 0; i < u.size(); ++i) w[i] = saturating_tanh(beta * static_cast<double>(u[i]));
    return;
  }
  for (std::size_t i = 0; i < u.size(); ++i) {
    const auto x = static_cast<double>(u[i]);
    w[i] = 0.5F * (saturating_tanh(beta * (x + 0.5)) + saturating_tanh(beta * (x - 0.5)));
  }
}

void TanhProjection::final(std::span<const float> u, const WeightContext&, std::span<float> w) {
  const float threshold = levels_ == UnitLevels::binary ? 0.0F : 0.5F;
  for (std::size_t i = 0; i < u.size(); ++i)
    w[i] = u[i] >= threshold ? 1.0F : levels_ == UnitLevels::binary || u[i] <= -threshold ? -1.0F : 0.0F;
}

}  // namespace qtrain::quant
