#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace qtrain::quant {

/// Levels b of magnitudes x = |w| / alpha, k = 2^(bits - 1) - 1 of them beside 0. Stored as codes b / unit().
///   linear       {0, 1/k, 2/k, ..., 1}                 unit 1/k
///   logarithmic  {0, 2^-(k-1), ..., 1/4, 1/2, 1}       unit 1
struct LevelGrid {
  int k = 1;
  bool logarithmic = false;
  double unit() const { return logarithmic ? 1.0 : 1.0 / k; }
};

/// How alpha and b are sought that minimise 1/2 sum_i d_i (w_i - alpha b_i)^2 with b on a grid and alpha > 0.
struct FitOptions {
  bool exact = false;         ///< only for k = 1
  bool least_squares = true;  ///< alpha = sum d b w / sum d b^2, else sum |d b w| / sum d |b|
  int iterations = 10;
  double tolerance = 1e-6;
};

/// The weights that one alpha serves; the others count as 0.
enum class Part { all, positive, negative };

/// Fits one alpha to one tensor, in memory of its own.
class ScaleFit {
 public:
  ScaleFit(const LevelGrid& grid, const FitOptions& options, std::size_t size);

  /// alpha for weights w of curvature d > 0; 0 if all of w is 0. `codes` (signed) and `alpha` are where the
  /// alternation starts; when they give no alpha > 0, it starts at b = 1 where |w| > 0.7 mean |w|. `exact`
  /// ignores both.
  double fit(Part part, std::span<const float> w, std::span<const float> d, std::span<const float> codes,
             double alpha);
  /// The alpha of weights that lie on the grid already, up to 1e-6 alpha; 0 if they do not.
  double recognized(Part part, std::span<const float> w) const;
  /// Signed codes of the levels nearest to w / alpha, a tie away from 0; alpha may differ for w >= 0 and w <
  /// 0.
  void nearest(std::span<const float> w, double alpha_positive, double alpha_negative,
               std::span<float> codes) const;

 private:
  struct Entry {
    float magnitude = 0;
    float curvature = 0;
  };
  double fit_exactly(Part part, std::span<const float> w, std::span<const float> d);
  void sort_entries(std::size_t size);

  LevelGrid grid_;
  FitOptions options_;
  std::vector<Entry> entries_, spare_;  // of the exact solver
};

}  // namespace qtrain::quant
