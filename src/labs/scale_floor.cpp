#include "labs/scale_floor.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace qtrain::labs {
namespace {

double magnitude(float w) { return std::abs(static_cast<double>(w)); }

double squares(std::span<const float> w) {
  double sum = 0;
  for (const float value : w) sum += magnitude(value) * magnitude(value);
  return sum;
}

}  // namespace

double binary_floor(std::span<const float> w) {
  double sum = 0;
  for (const float value : w) sum += magnitude(value);
  return squares(w) - sum * sum / static_cast<double>(w.size());
}

// With alpha falling from infinity, code i goes from j - 1 to j where alpha = |w_i| / (j - 1/2). Between two
// such places the codes stay, and their best alpha leaves sum w^2 - (sum |w| b)^2 / sum b^2.
double level_floor(std::span<const float> w, int top) {
  std::vector<std::pair<double, std::pair<double, int>>> changes;  // alpha, |w_i|, j
  for (const float value : w)
    for (int j = 1; j <= top; ++j) changes.push_back({magnitude(value) / (j - 0.5), {magnitude(value), j}});
  std::ranges::sort(changes, std::ranges::greater());
  double explained = 0, products = 0, codes = 0;
  for (const auto& [alpha, change] : changes) {
    products += change.first;
    codes += 2 * change.second - 1;
    explained = std::max(explained, products * products / codes);
  }
  return squares(w) - explained;
}

}  // namespace qtrain::labs
