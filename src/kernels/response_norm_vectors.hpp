#pragma once
#include "kernels/vector_loops.hpp"

// Local response normalization, by vectors: see vector_loops.hpp.

namespace qtrain::kernels {
namespace {

// `row` holds a pixel's values with `radius` zeros on either side: the window of lane l begins at row[l].

void zero(float* x, size_t size) {
  map_flat([] { return zero(); }, x, size);
}

template <class Access>
Vector window_sum(Access at, const float* row, size_t radius) {
  Vector sum = at.load(row);
  for (size_t k = 1; k <= 2 * radius; ++k) sum = sum + at.load(row + k);
  return sum;
}

void squares(const float* x, size_t radius, float* row, size_t lanes) {
  map_flat([](Vector v) { return v * v; }, row + radius, lanes, x);
}

/// n^(3/4)
Vector three_quarter_power(Vector n) {
  const Vector r = root(n);
  return r * root(r);
}

/// bias + alpha * s
struct Norm {
  Vector bias, alpha;
  Norm(float b, float a) : bias(all(b)), alpha(all(a)) {}
  Vector operator()(Vector s) const { return bias + alpha * s; }
};

void response_norm(const float* x, float bias, float alpha, size_t radius, float* scratch, float* y,
                   size_t pixels, size_t lanes) {
  const Norm norm(bias, alpha);
  zero(scratch, lanes + 2 * radius);
  for (size_t p = 0; p < pixels; ++p, x += lanes, y += lanes) {
    squares(x, radius, scratch, lanes);
    for_each_column(lanes, [&](auto at, size_t l) {
      const Vector n = norm(window_sum(at, scratch + l, radius));
      at.store(y + l, at.load(x + l) / three_quarter_power(n));
    });
  }
}

void response_norm_backward(const float* x, const float* g, float bias, float alpha, size_t radius,
                            float* scratch, float* d, size_t pixels, size_t lanes) {
  const Norm norm(bias, alpha);
  zero(scratch, 2 * (lanes + 2 * radius));
  float* terms = scratch + lanes + 2 * radius;
  const Vector slope = all(1.5f * alpha);
  for (size_t p = 0; p < pixels; ++p, x += lanes, g += lanes, d += lanes) {
    squares(x, radius, scratch, lanes);
    for_each_column(lanes, [&](auto at, size_t l) {
      const Vector n = norm(window_sum(at, scratch + l, radius));
      const Vector scaled = at.load(g + l) / three_quarter_power(n);
      at.store(d + l, scaled);
      at.store(terms + radius + l, (scaled * at.load(x + l)) / n);
    });
    for_each_column(lanes, [&](auto at, size_t l) {
      const Vector pull = (slope * at.load(x + l)) * window_sum(at, terms + l, radius);
      at.store(d + l, at.load(d + l) - pull);
    });
  }
}

inline void fill(Kernels& set) {
  set.response_norm = response_norm;
  set.response_norm_backward = response_norm_backward;
}

}  // namespace
}  // namespace qtrain::kernels
