#include <algorithm>
#include <cmath>

#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

// `row` holds a pixel's values with `radius` zeros on either side: the window of lane l begins at row[l].

float window_sum(const float* row, std::size_t l, std::size_t radius) {
  float sum = row[l];
  for (std::size_t k = 1; k <= 2 * radius; ++k) sum += row[l + k];
  return sum;
}

void squares(const float* x, std::size_t radius, float* row, std::size_t lanes) {
  for (std::size_t l = 0; l < lanes; ++l) row[radius + l] = x[l] * x[l];
}

/// n^(3/4)
float three_quarter_power(float n) {
  const float root = std::sqrt(n);
  return root * std::sqrt(root);
}

void response_norm(const float* x, float bias, float alpha, std::size_t radius, float* scratch, float* y,
                   std::size_t pixels, std::size_t lanes) {
  std::fill_n(scratch, lanes + 2 * radius, 0.0f);
  for (std::size_t p = 0; p < pixels; ++p, x += lanes, y += lanes) {
    squares(x, radius, scratch, lanes);
    for (std::size_t l = 0; l < lanes; ++l)
      y[l] = x[l] / three_quarter_power(bias + alpha * window_sum(scratch, l, radius));
  }
}

void response_norm_backward(const float* x, const float* g, float bias, float alpha, std::size_t radius,
                            float* scratch, float* d, std::size_t pixels, std::size_t lanes) {
  std::fill_n(scratch, 2 * (lanes + 2 * radius), 0.0f);
  float* terms = scratch + lanes + 2 * radius;
  const float slope = 1.5f * alpha;
  for (std::size_t p = 0; p < pixels; ++p, x += lanes, g += lanes, d += lanes) {
    squares(x, radius, scratch, lanes);
    for (std::size_t l = 0; l < lanes; ++l) {
      const float n = bias + alpha * window_sum(scratch, l, radius);
      d[l] = g[l] / three_quarter_power(n);
      terms[radius + l] = d[l] * x[l] / n;
    }
    for (std::size_t l = 0; l < lanes; ++l) d[l] -= slope * x[l] * window_sum(terms, l, radius);
  }
}

}  // namespace

void fill_response_norm(Kernels& set) {
  set.response_norm = response_norm;
  set.response_norm_backward = response_norm_backward;
}

}  // namespace qtrain::kernels::reference
