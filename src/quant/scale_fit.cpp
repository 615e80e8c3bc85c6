#include "quant/scale_fit.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace qtrain::quant {
namespace {

constexpr std::size_t kLanes = 16;  // a constant length is what g++ -O2 needs to use vector instructions

/// Code of the level nearest to x in [0, 1], a tie away from 0.
struct Linear {
  double k;
  explicit Linear(const LevelGrid& grid) : k(grid.k) {}
  double operator()(double x) const { return static_cast<int>(x * k + 0.5); }
};
struct Logarithmic {
  double smallest;  // level above 0
  explicit Logarithmic(const LevelGrid& grid) : smallest(std::ldexp(1.0, 1 - grid.k)) {}
  double operator()(double x) const {
    // To a power of two: the mantissa's first bit decides, so that 1.5 * 2^j becomes 2^(j + 1).
    constexpr std::uint64_t kHalf = std::uint64_t{1} << 51;
    constexpr std::uint64_t kMantissa = (std::uint64_t{1} << 52) - 1;
    const double inside = std::max(x, smallest);
    const auto power = std::bit_cast<double>((std::bit_cast<std::uint64_t>(inside) + kHalf) & ~kMantissa);
    return x < smallest / 2 ? 0.0 : power;
  }
};

struct All {
  static double of(float x) { return static_cast<double>(x); }
};
struct Positive {
  static double of(float x) { return x > 0 ? static_cast<double>(x) : 0.0; }
};
struct Negative {
  static double of(float x) { return x < 0 ? -static_cast<double>(x) : 0.0; }
};

/// run(members, level) with the types of `part` and `grid`, which loops over weights then need not ask.
template <class Run>
auto dispatch(Part part, const LevelGrid& grid, Run run) {
  const auto with = [&](auto members) {
    return grid.logarithmic ? run(members, Logarithmic(grid)) : run(members, Linear(grid));
  };
  return part == Part::all ? with(All{}) : part == Part::positive ? with(Positive{}) : with(Negative{});
}

/// Sums over a tensor: d c w, d c^2 and d |c|, c a code.
struct Sums {
  double product = 0, square = 0, plain = 0;
  double alpha(bool least_squares, double unit) const {
    const double below = least_squares ? square * unit : plain;
    return below > 0 ? (least_squares ? product : std::abs(product)) / below : 0;
  }
};

template <class Members>
Sums warm_sums(std::span<const float> w, std::span<const float> d, std::span<const float> codes,
               bool least_squares) {
  Sums sums;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double code = Members::of(codes[i]);
    const double product = static_cast<double>(d[i]) * code * Members::of(w[i]);
    sums.product += least_squares ? product : std::abs(product);
    sums.square += static_cast<double>(d[i]) * code * code;
    sums.plain += static_cast<double>(d[i]) * std::abs(code);
  }
  return sums;
}

template <class Members>
Sums threshold_sums(std::span<const float> w, std::span<const float> d, double top) {
  double total = 0;
  std::size_t members = 0;
  for (const float value : w) {
    total += std::abs(Members::of(value));
    if (std::is_same_v<Members, All> || Members::of(value) != 0) ++members;
  }
  const double threshold = members == 0 ? 0 : 0.7 * total / static_cast<double>(members);
  Sums sums;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double magnitude = std::abs(Members::of(w[i]));
    if (!(magnitude > threshold)) continue;
    sums.product += static_cast<double>(d[i]) * top * magnitude;
    sums.square += static_cast<double>(d[i]) * top * top;
    sums.plain += static_cast<double>(d[i]) * top;
  }
  return sums;
}

/// Sums at the levels nearest to w / alpha. Order: kLanes sums of each kind, sum j over i = j mod kLanes.
template <class Members, class Level>
Sums sums_at(std::span<const float> w, std::span<const float> d, double alpha, Level level) {
  std::array<double, kLanes> product{}, square{}, plain{}, magnitude, code;
  const auto add = [&](std::size_t start, std::size_t lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      magnitude[lane] = std::abs(Members::of(w[start + lane]));
      code[lane] = std::min(magnitude[lane] / alpha, 1.0);
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const double nearest = level(code[lane]);
      const double weighted = static_cast<double>(d[start + lane]) * nearest;
      product[lane] += weighted * magnitude[lane];
      square[lane] += weighted * nearest;
      plain[lane] += weighted;
    }
  };
  std::size_t start = 0;
  for (; start + kLanes <= w.size(); start += kLanes) add(start, kLanes);
  add(start, w.size() - start);
  Sums sums;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    sums.product += product[lane];
    sums.square += square[lane];
    sums.plain += plain[lane];
  }
  return sums;
}

}  // namespace

ScaleFit::ScaleFit(const LevelGrid& grid, const FitOptions& options, std::size_t size)
    : grid_(grid), options_(options), entries_(options.exact ? size : 0), spare_(options.exact ? size : 0) {}

double ScaleFit::fit(Part part, std::span<const float> w, std::span<const float> d,
                     std::span<const float> codes, double alpha) {
  if (options_.exact) return fit_exactly(part, w, d);
  const bool least_squares = options_.least_squares;
  const double unit = grid_.unit();
  return dispatch(part, grid_, [&](auto members, auto level) {
    using Members = decltype(members);
    double next = warm_sums<Members>(w, d, codes, least_squares).alpha(least_squares, unit);
    if (!(next > 0)) next = threshold_sums<Members>(w, d, 1 / unit).alpha(least_squares, unit);
    for (int iteration = 1;; ++iteration) {
      const double moved = std::abs(next - alpha);
      alpha = next;
      if (!(alpha > 0) || moved < options_.tolerance || iteration == options_.iterations) return alpha;
      next = sums_at<Members>(w, d, alpha, level).alpha(least_squares, unit);
    }
  });
}

double ScaleFit::recognized(Part part, std::span<const float> w) const {
  return dispatch(part, grid_, [&](auto members, auto level) {
    using Members = decltype(members);
    double top = 0;
    for (const float value : w) top = std::max(top, std::abs(Members::of(value)));
    if (top == 0) return 0.0;
    // The largest weight is at some level j / k; a power of two more or less is no other grid.
    for (int j = grid_.k; j >= (grid_.logarithmic ? grid_.k : 1); --j) {
      const double alpha = top * grid_.k / j;
      const bool fits = std::ranges::all_of(w, [&](float value) {
        const double x = std::abs(Members::of(value)) / alpha;  // at most 1
        return std::abs(x - level(x) * grid_.unit()) <= 1e-6;
      });
      if (fits) return alpha;
    }
    return 0.0;
  });
}

void ScaleFit::nearest(std::span<const float> w, double alpha_positive, double alpha_negative,
                       std::span<float> codes) const {
  dispatch(Part::all, grid_, [&](auto, auto level) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const auto value = static_cast<double>(w[i]);
      const double alpha = value < 0 ? alpha_negative : alpha_positive;
      const double code = alpha > 0 ? level(std::min(std::abs(value) / alpha, 1.0)) : 0;
      codes[i] = static_cast<float>(value < 0 ? -code : code);
    }
  });
}

double ScaleFit::fit_exactly(Part part, std::span<const float> w, std::span<const float> d) {
  const std::size_t size = dispatch(part, grid_, [&](auto members, auto) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double magnitude = std::abs(decltype(members)::of(w[i]));
      if (magnitude > 0) entries_[count++] = {static_cast<float>(magnitude), d[i]};
    }
    return count;
  });
  sort_entries(size);
  double product = 0;  // sum of d a over the j largest magnitudes a
  double total = 0;    // sum of d
  double best = -1;
  double alpha = 0;
  for (std::size_t j = size; j-- > 0;) {
    const auto weight = static_cast<double>(entries_[j].curvature);
    product += weight * static_cast<double>(entries_[j].magnitude);
    total += weight;
    const double gain = product * (product / total);  // 4 c_j^2 sum d
    if (gain > best) {
      best = gain;
      alpha = product / total;
    }
  }
  return alpha;
}

/// Rising magnitudes, by radix of their bits (which order as the positive floats do).
void ScaleFit::sort_entries(std::size_t size) {
  constexpr unsigned kDigit = 8;
  for (unsigned shift = 0; shift < 32; shift += kDigit) {
    const auto digit = [shift](const Entry& entry) {
      return (std::bit_cast<std::uint32_t>(entry.magnitude) >> shift) & ((1U << kDigit) - 1);
    };
    std::array<std::size_t, (1U << kDigit) + 1> starts{};
    for (std::size_t i = 0; i < size; ++i) ++starts[digit(entries_[i]) + 1];
    for (std::size_t value = 1; value < starts.size(); ++value) starts[value] += starts[value - 1];
    for (std::size_t i = 0; i < size; ++i) spare_[starts[digit(entries_[i])]++] = entries_[i];
    std::swap(entries_, spare_);
  }
}

}  // namespace qtrain::quant
