#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace qtrain::labs {

/// The data of linear_regression: w*_i and x_i uniform on [-1/2, 1/2], y = x^T w* + N(0, noise^2).
class RegressionProblem {
 public:
  RegressionProblem(std::size_t d, std::size_t batch_size, double noise, std::uint64_t seed);
  std::span<const float> w_star() const { return w_star_; }

  /// f_t = |X w - y|^2 / (2 B) on the batch of step t, and its gradient X^T (X w - y) / B. The same step has
  /// the same batch, whatever w.
  double batch_loss(std::span<const float> w, std::int64_t t, std::span<float> gradient);
  /// E f at w.
  double population_loss(std::span<const float> w) const;
  /// E f where |w - w*|^2 is `squares`: noise^2 / 2 + squares / 24.
  double loss_of(double squares) const { return noise_ * noise_ / 2 + squares / 24; }

 private:
  std::size_t batch_size_;
  double noise_;
  std::uint64_t seed_;
  std::vector<float> w_star_, x_;
  std::vector<double> sums_;
};

}  // namespace qtrain::labs
