#include "quant/alternating_codes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/error.hpp"
#include "quant/weight_groups.hpp"

namespace qtrain::quant {
namespace {

constexpr std::size_t kMostLevels = std::size_t{1} << kMostAlternatingBits;

/// alpha; bit i of a code is set where b_i = +1.
struct Scales {
  std::array<double, kMostAlternatingBits> alpha{};
  int bits = 0;
  std::size_t levels() const { return std::size_t{1} << bits; }
};

/// All that least squares needs to know of a group: how many weights have each code, and their sum.
struct Bins {
  std::array<double, kMostLevels> count;
  std::array<double, kMostLevels> sum;
  explicit Bins(std::size_t levels) {
    std::fill_n(count.begin(), levels, 0.0);
    std::fill_n(sum.begin(), levels, 0.0);
  }
};

/// The sums +-alpha_1 ... +-alpha_bits, ascending, each with its code.
struct Level {
  double value = 0;
  std::size_t code = 0;
};
using Levels = std::array<Level, kMostLevels>;

double sign_in(std::size_t code, int bit) { return (code >> bit & 1) != 0 ? 1.0 : -1.0; }

/// w minus its first `terms` greedy terms.
double greedy_residual(double w, const Scales& scales, int terms) {
  for (int i = 0; i < terms; ++i) {
    const double alpha = scales.alpha[static_cast<std::size_t>(i)];
    w -= std::copysign(alpha, w + 0.0);  // -0 + 0 is +0
  }
  return w;
}

std::size_t greedy_code(double w, const Scales& scales) {
  std::size_t code = 0;
  for (int i = 0; i < scales.bits; ++i) {
    code |= static_cast<std::size_t>(w >= 0) << i;
    w -= std::copysign(scales.alpha[static_cast<std::size_t>(i)], w + 0.0);
  }
  return code;
}

Scales greedy(std::span<const float> w, int bits) {
  Scales scales;
  scales.bits = bits;
  for (int i = 0; i < bits; ++i) {
    double sum = 0;
    for (const float value : w) sum += std::abs(greedy_residual(static_cast<double>(value), scales, i));
    scales.alpha[static_cast<std::size_t>(i)] = sum / static_cast<double>(w.size());
  }
  return scales;
}

Bins greedy_bins(std::span<const float> w, const Scales& scales) {
  Bins bins(scales.levels());
  for (const float value : w) {
    const std::size_t code = greedy_code(static_cast<double>(value), scales);
    bins.count[code] += 1;
    bins.sum[code] += static_cast<double>(value);
  }
  return bins;
}

using Matrix = std::array<std::array<double, kMostAlternatingBits>, kMostAlternatingBits>;
using Vector = std::array<double, kMostAlternatingBits>;

/// x with A x = b for a positive semidefinite A, by A = L D L^T; x is 0 in columns that depend on those
/// before (pivot <= tolerance).
Vector solve(const Matrix& a, const Vector& b, std::size_t size, double tolerance) {
  Matrix lower{};
  Vector pivot{}, y{}, x{};
  for (std::size_t j = 0; j < size; ++j) {
    pivot[j] = a[j][j];
    y[j] = b[j];
    for (std::size_t p = 0; p < j; ++p) {
      pivot[j] -= lower[j][p] * lower[j][p] * pivot[p];
      y[j] -= lower[j][p] * y[p];
    }
    if (pivot[j] <= tolerance) pivot[j] = 0;
    for (std::size_t i = j + 1; i < size && pivot[j] > 0; ++i) {
      double rest = a[i][j];
      for (std::size_t p = 0; p < j; ++p) rest -= lower[i][p] * lower[j][p] * pivot[p];
      lower[i][j] = rest / pivot[j];
    }
  }
  for (std::size_t j = size; j-- > 0;) {
    if (pivot[j] <= 0) continue;
    x[j] = y[j] / pivot[j];
    for (std::size_t i = j + 1; i < size; ++i) x[j] -= lower[i][j] * x[i];
  }
  return x;
}

/// alpha = argmin ||w - B alpha||.
Scales least_squares(const Bins& bins, int bits, std::size_t weights) {
  Matrix products{};  // B^T B
  Vector moments{};   // B^T w
  Scales scales;
  scales.bits = bits;
  for (std::size_t code = 0; code < scales.levels(); ++code) {
    for (int i = 0; i < bits; ++i) {
      const auto row = static_cast<std::size_t>(i);
      moments[row] += sign_in(code, i) * bins.sum[code];
      const double signed_count = sign_in(code, i) * bins.count[code];
      for (int j = 0; j <= i; ++j)
        products[row][static_cast<std::size_t>(j)] += signed_count * sign_in(code, j);
    }
  }
  const double tolerance = 1e-9 * static_cast<double>(weights);
  scales.alpha = solve(products, moments, static_cast<std::size_t>(bits), tolerance);
  return scales;
}

void sort_sums(const Scales& scales, Levels& levels) {
  Levels lower, upper;
  levels[0] = {};
  for (int i = 0; i < scales.bits; ++i) {
    const double alpha = scales.alpha[static_cast<std::size_t>(i)];
    const std::size_t size = std::size_t{1} << i;
    for (std::size_t k = 0; k < size; ++k) {
      lower[k] = {levels[k].value - alpha, levels[k].code};
      upper[k] = {levels[k].value + alpha, levels[k].code | size};
    }
    std::merge(lower.begin(), lower.begin() + size, upper.begin(), upper.begin() + size, levels.begin(),
               [](const Level& left, const Level& right) { return left.value < right.value; });
  }
}

/// Calls take(index of w, index into levels) with the nearest level of each weight.
template <class Take>
void for_each_nearest(std::span<const float> w, const Levels& levels, std::size_t count, Take take) {
  std::array<double, kMostLevels> middle;
  for (std::size_t k = 0; k + 1 < count; ++k) middle[k] = (levels[k].value + levels[k + 1].value) / 2;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const auto value = static_cast<double>(w[i]);
    std::size_t position = 0;
    for (std::size_t half = count / 2; half > 0; half /= 2)
      position += half * static_cast<std::size_t>(value >= middle[position + half - 1]);
    take(i, position);
  }
}

Bins nearest_bins(std::span<const float> w, const Levels& levels, std::size_t count) {
  Bins sorted(count);
  for_each_nearest(w, levels, count, [&](std::size_t i, std::size_t position) {
    sorted.count[position] += 1;
    sorted.sum[position] += static_cast<double>(w[i]);
  });
  Bins bins(count);
  for (std::size_t k = 0; k < count; ++k) {
    bins.count[levels[k].code] = sorted.count[k];
    bins.sum[levels[k].code] = sorted.sum[k];
  }
  return bins;
}

void write_greedy(std::span<const float> w, const Scales& scales, std::span<float> q) {
  std::array<float, kMostLevels> value;
  for (std::size_t code = 0; code < scales.levels(); ++code) {
    double sum = 0;
    for (int i = 0; i < scales.bits; ++i) sum += sign_in(code, i) * scales.alpha[static_cast<std::size_t>(i)];
    value[code] = static_cast<float>(sum);
  }
  for (std::size_t i = 0; i < w.size(); ++i) q[i] = value[greedy_code(static_cast<double>(w[i]), scales)];
}

}  // namespace

void alternating(std::span<const float> w, int bits, int refinements, std::span<float> q) {
  QTRAIN_CHECK(bits >= 1 && bits <= kMostAlternatingBits, "{} bits", bits);
  QTRAIN_CHECK(w.size() == q.size(), "{} weights into {}", w.size(), q.size());
  if (w.empty()) return;
  Scales scales = greedy(w, bits);
  if (bits == 1 || refinements == 0) return write_greedy(w, scales, q);
  Levels levels;
  for (int round = 0; round < refinements; ++round) {
    const Bins bins = round == 0 ? greedy_bins(w, scales) : nearest_bins(w, levels, scales.levels());
    scales = least_squares(bins, bits, w.size());
    sort_sums(scales, levels);
  }
  for_each_nearest(w, levels, scales.levels(), [&](std::size_t i, std::size_t position) {
    q[i] = static_cast<float>(levels[position].value);
  });
}

}  // namespace qtrain::quant
