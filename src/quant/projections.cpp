#include "quant/projections.hpp"

#include <algorithm>
#include <cmath>

#include "quant/weight_groups.hpp"

namespace qtrain::quant {
namespace {

constexpr double kTernaryThreshold = 0.7;

double mean(double sum, std::size_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; }

}  // namespace

float prox_l1(float theta, double kappa) {
  const double magnitude = std::abs(static_cast<double>(theta));
  const double moved = magnitude < 1 ? std::min(magnitude + kappa, 1.0) : std::max(magnitude - kappa, 1.0);
  return sign_of(theta) * static_cast<float>(moved);
}

float prox_l2(float theta, float q, double kappa) {
  const double share = 1 / (1 + kappa);
  return static_cast<float>(share * static_cast<double>(theta) + (1 - share) * static_cast<double>(q));
}

void ternary_projection(std::span<const float> w, std::span<float> q, bool over_all) {
  const double threshold = kTernaryThreshold * mean_magnitude(w);
  double sum = 0;
  std::size_t count = 0;
  for (const float value : w) {
    const double magnitude = std::abs(static_cast<double>(value));
    if (magnitude <= threshold) continue;
    sum += magnitude;
    ++count;
  }
  const auto scale = static_cast<float>(mean(sum, over_all ? w.size() : count));
  for (std::size_t i = 0; i < w.size(); ++i)
    q[i] = std::abs(static_cast<double>(w[i])) > threshold ? scale * sign_of(w[i]) : 0.0F;
}

void asymmetric_ternary_projection(std::span<const float> w, std::span<float> q) {
  const double threshold = kTernaryThreshold * mean_magnitude(w);
  double above = 0, below = 0;
  std::size_t count_above = 0, count_below = 0;
  for (const float value : w) {
    const auto x = static_cast<double>(value);
    if (x >= threshold) {
      above += x;
      ++count_above;
    } else if (x <= -threshold) {
      below += x;
      ++count_below;
    }
  }
  const auto high = static_cast<float>(mean(above, count_above));
  const auto low = static_cast<float>(mean(below, count_below));
  for (std::size_t i = 0; i < w.size(); ++i) {
    const auto x = static_cast<double>(w[i]);
    q[i] = x >= threshold ? high : x <= -threshold ? low : 0.0F;
  }
}

}  // namespace qtrain::quant
