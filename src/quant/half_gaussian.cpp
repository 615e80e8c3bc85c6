#include "quant/half_gaussian.hpp"

#include <cmath>
#include <numbers>

namespace qtrain::quant {
namespace {

double density(double x) { return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2; }
double tail(double x) { return std::erfc(x / std::numbers::sqrt2) / 2; }

// d/da of E (x - a k)^2. Level k holds x in (c_(k-1) a, c_k a] with c_k = k + shift, c_levels = infinity, so
//   E' = -2 sum_k k (density(c_(k-1) a) - density(c_k a) - a k (tail(c_(k-1) a) - tail(c_k a)))
//        - a^2 (1 - 2 shift) sum_(0 < k < levels) c_k density(c_k a)
// the last sum coming from boundaries that move with a; it is zero where they lie midway between levels. A
// boundary below level 1 separates it from 0 (nearest), or is 0 itself.
double error_slope(double a, double shift, double first_boundary, int levels) {
  double slope = 0;
  double lower = first_boundary;
  for (int k = 1; k <= levels; ++k) {
    const double upper = k + shift;
    const double upper_density = k < levels ? density(upper * a) : 0;
    const double upper_tail = k < levels ? tail(upper * a) : 0;
    slope -= 2 * k * (density(lower * a) - upper_density - a * k * (tail(lower * a) - upper_tail));
    slope -= a * a * (1 - 2 * shift) * upper * upper_density;
    lower = upper;
  }
  return slope;
}

}  // namespace

double half_gaussian_step(Rounding rounding, int levels) {
  const double shift = rounding == Rounding::ceil ? 0 : 0.5;
  const double first_boundary = rounding == Rounding::nearest ? 0.5 : 0;
  double low = 0.5 / levels;
  double high = 8.0 / levels;
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = (low + high) / 2;
    (error_slope(middle, shift, first_boundary, levels) < 0 ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace qtrain::quant
