#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "spec/reader.hpp"

namespace qtrain::quant {

/// How sharp a soft projection w = P(beta u) is over training; used by every method that anneals one.
///
///   beta(k) = min(beta_start rho^ceil(k / I), beta_limit)     at step k = 0, 1, ...
///
/// So step 0 uses beta_start, and beta grows by rho before step 1 and after each I steps from there on.
/// Callers fill in the defaults of their paper's code.
struct Annealing {
  double growth = 1.02;         ///< rho
  std::int64_t interval = 200;  ///< I
  double start = 1;
  double limit = 1e35;

  /// Reads beta_growth, beta_interval, beta_start and beta_limit.
  void read(spec::Reader& keys);
  double beta(std::int64_t step) const;
  bool grows() const { return growth > 1 && start < limit; }
  /// u = beta(step) / beta(step + 1) u: after a step, keeps beta u, and so P(beta u), while beta grows.
  void keep_projection(std::span<float> u, std::int64_t step) const;
  /// u = beta(step) / beta(0) u: keeps P(beta u) where a next stage has step 0 again.
  void restart(std::span<float> u, std::int64_t step) const;
};

/// The nearest float, but never infinite: what lies beyond the range of float becomes its bound.
inline float finite_float(double x) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(x, -kMost, kMost));
}

}  // namespace qtrain::quant
