// The order of the sums is that of the values alone.
#include <algorithm>
#include <array>
#include <cmath>

#include "optim/optimizer.hpp"

namespace qtrain::optim {
namespace {

constexpr std::size_t kLanes = 16;  // a constant length is what g++ -O2 needs to use vector instructions

/// Sum of squares, value i going to sum i modulo kLanes.
double square_norm(std::span<const float> values) {
  std::array<double, kLanes> sums{};
  std::size_t start = 0;
  for (; start + kLanes <= values.size(); start += kLanes)
    for (std::size_t i = 0; i < kLanes; ++i) {
      const auto x = static_cast<double>(values[start + i]);
      sums[i] += x * x;
    }
  for (std::size_t i = 0; start + i < values.size(); ++i) {
    const auto x = static_cast<double>(values[start + i]);
    sums[i] += x * x;
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

}  // namespace

void clip_gradient(const OptimizerSpec& optimizer, std::span<const std::span<float>> parts) {
  if (optimizer.clip_value > 0) {
    const auto limit = static_cast<float>(optimizer.clip_value);
    for (const std::span<float> part : parts)
      for (float& g : part) g = std::clamp(g, -limit, limit);
  }
  if (optimizer.clip_norm <= 0) return;
  double squares = 0;
  for (const std::span<float> part : parts) squares += square_norm(part);
  const double norm = std::sqrt(squares);
  if (norm <= optimizer.clip_norm) return;
  const auto factor = static_cast<float>(optimizer.clip_norm / norm);
  for (const std::span<float> part : parts)
    for (float& g : part) g *= factor;
}

}  // namespace qtrain::optim
