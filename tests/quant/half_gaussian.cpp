// The fitted step against the error summed numerically, which knows nothing of closed forms.
#include "quant/half_gaussian.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace qtrain::quant {
namespace {

/// E (x - a k)^2 over |N(0, 1)|, up to a constant factor: midpoint sum on [0, 9].
double error_of(double a, Rounding rounding, int levels) {
  constexpr int kPoints = 400'000;
  double sum = 0;
  for (int i = 0; i < kPoints; ++i) {
    const double x = 9 * (i + 0.5) / kPoints;
    double level = rounding == Rounding::ceil ? std::ceil(x / a) : std::round(x / a);
    if (rounding == Rounding::positive) level = std::max(level, 1.0);
    const double rest = x - a * std::min(level, static_cast<double>(levels));
    sum += rest * rest * std::exp(-x * x / 2);
  }
  return sum / kPoints;
}

}  // namespace

TEST_CASE("half-Gaussian step: no other step has a smaller error") {
  for (const Rounding rounding : {Rounding::nearest, Rounding::ceil, Rounding::positive}) {
    for (const int levels : {1, 3, 15, 255}) {
      CAPTURE(static_cast<int>(rounding));
      CAPTURE(levels);
      const double step = half_gaussian_step(rounding, levels);
      const double least = error_of(step, rounding, levels);
      for (const double factor : {0.5, 0.8, 0.97, 1.03, 1.25, 2.0})
        CHECK(error_of(step * factor, rounding, levels) > least);
    }
  }
}

TEST_CASE("half-Gaussian step: one level without zero is the mean, sqrt(2 / pi)") {
  CHECK(half_gaussian_step(Rounding::ceil, 1) == doctest::Approx(0.7978845608028654).epsilon(1e-13));
}

}  // namespace qtrain::quant
