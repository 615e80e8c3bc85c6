#include "labs/regression_problem.hpp"

#include <algorithm>

#include "base/random.hpp"

namespace qtrain::labs {
namespace {

/// Inputs and labels of step t, or (part 1) w*.
RandomStream stream(std::uint64_t seed, std::size_t d, std::int64_t t, std::uint32_t part) {
  return RandomStream(seed, Purpose::generated_data, static_cast<std::uint32_t>(d),
                      static_cast<std::uint32_t>(t), part);
}

double difference(float a, float b) { return static_cast<double>(a) - static_cast<double>(b); }

}  // namespace

RegressionProblem::RegressionProblem(std::size_t d, std::size_t batch_size, double noise, std::uint64_t seed)
    : batch_size_(batch_size), noise_(noise), seed_(seed), w_star_(d), x_(d), sums_(d) {
  RandomStream random = stream(seed, d, 0, 1);
  for (float& w : w_star_) w = random.uniform(-0.5F, 0.5F);
}

double RegressionProblem::batch_loss(std::span<const float> w, std::int64_t t, std::span<float> gradient) {
  const std::size_t d = w_star_.size();
  RandomStream random = stream(seed_, d, t, 0);
  std::ranges::fill(sums_, 0.0);
  double squares = 0;
  for (std::size_t b = 0; b < batch_size_; ++b) {
    double residual = -noise_ * static_cast<double>(random.normal());  // x^T w - y
    for (std::size_t i = 0; i < d; ++i) {
      x_[i] = random.uniform(-0.5F, 0.5F);
      residual += static_cast<double>(x_[i]) * difference(w[i], w_star_[i]);
    }
    squares += residual * residual;
    for (std::size_t i = 0; i < d; ++i) sums_[i] += residual * static_cast<double>(x_[i]);
  }
  const auto count = static_cast<double>(batch_size_);
  for (std::size_t i = 0; i < d; ++i) gradient[i] = static_cast<float>(sums_[i] / count);
  return squares / (2 * count);
}

double RegressionProblem::population_loss(std::span<const float> w) const {
  double squares = 0;
  for (std::size_t i = 0; i < w.size(); ++i)
    squares += difference(w[i], w_star_[i]) * difference(w[i], w_star_[i]);
  return loss_of(squares);
}

}  // namespace qtrain::labs
