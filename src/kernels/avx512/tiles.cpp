#include "kernels/avx512/vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {
namespace {

/// y = op(x...) over a tile; make(column) builds op, column(a) being the lane parameters `a` of the column at
/// hand.
template <class Make, class... Input>
void map_tile(const Make& make, float* y, size_t pixels, size_t lanes, const Input*... x) {
  if (lanes == 1) {
    map_flat(make([](const float* a) { return _mm512_set1_ps(*a); }), y, pixels, x...);
    return;
  }
  for_each_column(lanes, [&](auto at, size_t l) {
    map_rows(at, make([&](const float* a) { return at.load(a + l); }), y + l, pixels, lanes, (x + l)...);
  });
}

__m512 multiply_add(__m512 x, __m512 factor, __m512 term) {
  return _mm512_add_ps(_mm512_mul_ps(x, factor), term);
}

void affine(const float* z, const float* a, const float* b, float* y, size_t pixels, size_t lanes) {
  const auto make = [&](auto column) {
    return [a = column(a), b = column(b)](__m512 vz) { return multiply_add(vz, a, b); };
  };
  map_tile(make, y, pixels, lanes, z);
}

void affine_add(const float* z, const float* a, const float* b, const float* r, const float* c,
                const float* d, float* y, size_t pixels, size_t lanes) {
  const auto make = [&](auto column) {
    return [a = column(a), b = column(b), c = column(c), d = column(d)](__m512 vz, __m512 vr) {
      return _mm512_add_ps(multiply_add(vz, a, b), multiply_add(vr, c, d));
    };
  };
  map_tile(make, y, pixels, lanes, z, r);
}

void affine_pair(const float* g, const float* z, const float* p, const float* q, const float* r, float* y,
                 size_t pixels, size_t lanes) {
  const auto make = [&](auto column) {
    return [p = column(p), q = column(q), r = column(r)](__m512 vg, __m512 vz) {
      return _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(vg, p), _mm512_mul_ps(vz, q)), r);
    };
  };
  map_tile(make, y, pixels, lanes, g, z);
}

}  // namespace

void fill_tiles(Kernels& set) {
  set.affine = affine;
  set.affine_add = affine_add;
  set.affine_pair = affine_pair;
}

}  // namespace qtrain::kernels::avx512
