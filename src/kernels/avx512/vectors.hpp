#pragma once
#include <stddef.h>

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns of the deliberately undefined operands inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

// Loads, stores and loops of the AVX-512 kernels, for the sources of this folder alone. Everything has
// internal linkage, so no code compiled here can serve a caller elsewhere.

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kWidth = 16;  ///< floats of a vector

/// Mask of the first `count` of 16 lanes; of all from 16 on.
inline __mmask16 first_lanes(size_t count) {
  return static_cast<__mmask16>(count < kWidth ? (1u << count) - 1u : 0xFFFFu);
}

/// Access to 16 values in memory.
struct Full {
  __mmask16 lanes() const { return 0xFFFF; }
  __m512 load(const float* x) const { return _mm512_loadu_ps(x); }
  void store(float* y, __m512 value) const { _mm512_storeu_ps(y, value); }
  void add(double* sum, __m512 value) const {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1));
    _mm512_storeu_pd(sum, _mm512_add_pd(_mm512_loadu_pd(sum), low));
    _mm512_storeu_pd(sum + 8, _mm512_add_pd(_mm512_loadu_pd(sum + 8), high));
  }
};

/// Access to the values of `mask` alone; the others read as 0.
struct Tail {
  __mmask16 mask;
  __mmask16 lanes() const { return mask; }
  __m512 load(const float* x) const { return _mm512_maskz_loadu_ps(mask, x); }
  void store(float* y, __m512 value) const { _mm512_mask_storeu_ps(y, mask, value); }
  void add(double* sum, __m512 value) const {
    alignas(64) float values[kWidth];
    _mm512_store_ps(values, value);
    for (size_t l = 0; l < kWidth && (mask >> l & 1) != 0; ++l) sum[l] += static_cast<double>(values[l]);
  }
};

/// Calls body(access, l) for each column of up to 16 lanes, l its first.
template <class Body>
void for_each_column(size_t lanes, const Body& body) {
  size_t l = 0;
  for (; l + kWidth <= lanes; l += kWidth) body(Full{}, l);
  if (l < lanes) body(Tail{first_lanes(lanes - l)}, l);
}

/// y = op(x...) for one vector in each of `rows` rows, `stride` values apart.
template <class Access, class Op, class... Input>
void map_rows(Access at, const Op& op, float* y, size_t rows, size_t stride, const Input*... x) {
  size_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const size_t i = row * stride;
    const __m512 y0 = op(at.load(x + i)...);
    const __m512 y1 = op(at.load(x + i + stride)...);
    const __m512 y2 = op(at.load(x + i + 2 * stride)...);
    const __m512 y3 = op(at.load(x + i + 3 * stride)...);
    at.store(y + i, y0);
    at.store(y + i + stride, y1);
    at.store(y + i + 2 * stride, y2);
    at.store(y + i + 3 * stride, y3);
  }
  for (; row < rows; ++row) at.store(y + row * stride, op(at.load(x + row * stride)...));
}

/// y[i] = op(x[i]...) for i < size.
template <class Op, class... Input>
void map_flat(const Op& op, float* y, size_t size, const Input*... x) {
  const size_t whole = size - size % kWidth;
  map_rows(Full{}, op, y, size / kWidth, kWidth, x...);
  if (whole < size) map_rows(Tail{first_lanes(size - whole)}, op, y + whole, 1, kWidth, (x + whole)...);
}

}  // namespace
}  // namespace qtrain::kernels::avx512
