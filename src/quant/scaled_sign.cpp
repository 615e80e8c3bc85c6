#include "quant/scaled_sign.hpp"

#include <algorithm>
#include <cmath>

namespace qtrain::quant {
namespace {

double with_sign_of(float u, float value) { return static_cast<double>(u < 0 ? -value : value); }

}  // namespace

void scaled_sign(std::span<const float> u, std::span<float> w) {
  const auto alpha = static_cast<float>(mean_magnitude(u));
  for (std::size_t i = 0; i < u.size(); ++i) w[i] = u[i] < 0 ? -alpha : alpha;
}

void scaled_sign_gradient(ScaledSignGradient rule, std::span<const float> u, std::span<const float> g,
                          std::span<float> gu) {
  if (rule == ScaledSignGradient::straight_through) {
    std::ranges::copy(g, gu.begin());
    return;
  }
  const double alpha = mean_magnitude(u);
  const double share = 1 / static_cast<double>(u.size());
  if (rule == ScaledSignGradient::paper) {
    const auto inside = static_cast<float>(share + alpha);
    const auto outside = static_cast<float>(share);
    for (std::size_t i = 0; i < u.size(); ++i) gu[i] = g[i] * (std::abs(u[i]) < 1 ? inside : outside);
    return;
  }
  double along_signs = 0;
  for (std::size_t i = 0; i < u.size(); ++i) along_signs += with_sign_of(u[i], g[i]);
  const auto through_alpha = static_cast<float>(share * along_signs);
  const auto through_sign = static_cast<float>(alpha);
  for (std::size_t i = 0; i < u.size(); ++i)
    gu[i] = (u[i] < 0 ? -through_alpha : through_alpha) + (std::abs(u[i]) <= 1 ? through_sign * g[i] : 0);
}

void ScaledSignMethod::used(std::span<const float> u, const WeightContext& /*context*/, std::span<float> w) {
  for (std::size_t group = 0; group < groups_.count; ++group)
    scaled_sign(groups_.of(u, group), groups_.of(w, group));
}

void ScaledSignMethod::pulled(std::span<const float> u, std::span<const float> /*w*/,
                              std::span<const float> gw, const WeightContext& /*context*/,
                              std::span<float> gu) {
  for (std::size_t group = 0; group < groups_.count; ++group)
    scaled_sign_gradient(gradient_, groups_.of(u, group), groups_.of(gw, group), groups_.of(gu, group));
}

}  // namespace qtrain::quant
