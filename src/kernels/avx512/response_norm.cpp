#include "kernels/avx512/vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {
namespace {

// `row` holds a pixel's values with `radius` zeros on either side: the window of lane l begins at row[l].

void zero(float* x, size_t size) {
  map_flat([] { return _mm512_setzero_ps(); }, x, size);
}

template <class Access>
__m512 window_sum(Access at, const float* row, size_t radius) {
  __m512 sum = at.load(row);
  for (size_t k = 1; k <= 2 * radius; ++k) sum = _mm512_add_ps(sum, at.load(row + k));
  return sum;
}

void squares(const float* x, size_t radius, float* row, size_t lanes) {
  map_flat([](__m512 v) { return _mm512_mul_ps(v, v); }, row + radius, lanes, x);
}

/// n^(3/4)
__m512 three_quarter_power(__m512 n) {
  const __m512 root = _mm512_sqrt_ps(n);
  return _mm512_mul_ps(root, _mm512_sqrt_ps(root));
}

/// bias + alpha * s
struct Norm {
  __m512 bias, alpha;
  Norm(float b, float a) : bias(_mm512_set1_ps(b)), alpha(_mm512_set1_ps(a)) {}
  __m512 operator()(__m512 s) const { return _mm512_add_ps(bias, _mm512_mul_ps(alpha, s)); }
};

void response_norm(const float* x, float bias, float alpha, size_t radius, float* scratch, float* y,
                   size_t pixels, size_t lanes) {
  const Norm norm(bias, alpha);
  zero(scratch, lanes + 2 * radius);
  for (size_t p = 0; p < pixels; ++p, x += lanes, y += lanes) {
    squares(x, radius, scratch, lanes);
    for_each_column(lanes, [&](auto at, size_t l) {
      const __m512 n = norm(window_sum(at, scratch + l, radius));
      at.store(y + l, _mm512_div_ps(at.load(x + l), three_quarter_power(n)));
    });
  }
}

void response_norm_backward(const float* x, const float* g, float bias, float alpha, size_t radius,
                            float* scratch, float* d, size_t pixels, size_t lanes) {
  const Norm norm(bias, alpha);
  zero(scratch, 2 * (lanes + 2 * radius));
  float* terms = scratch + lanes + 2 * radius;
  const __m512 slope = _mm512_set1_ps(1.5f * alpha);
  for (size_t p = 0; p < pixels; ++p, x += lanes, g += lanes, d += lanes) {
    squares(x, radius, scratch, lanes);
    for_each_column(lanes, [&](auto at, size_t l) {
      const __m512 n = norm(window_sum(at, scratch + l, radius));
      const __m512 scaled = _mm512_div_ps(at.load(g + l), three_quarter_power(n));
      at.store(d + l, scaled);
      at.store(terms + radius + l, _mm512_div_ps(_mm512_mul_ps(scaled, at.load(x + l)), n));
    });
    for_each_column(lanes, [&](auto at, size_t l) {
      const __m512 pull =
          _mm512_mul_ps(_mm512_mul_ps(slope, at.load(x + l)), window_sum(at, terms + l, radius));
      at.store(d + l, _mm512_sub_ps(at.load(d + l), pull));
    });
  }
}

}  // namespace

void fill_response_norm(Kernels& set) {
  set.response_norm = response_norm;
  set.response_norm_backward = response_norm_backward;
}

}  // namespace qtrain::kernels::avx512
