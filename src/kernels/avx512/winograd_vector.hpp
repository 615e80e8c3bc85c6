#pragma once
#include "kernels/avx512/vectors.hpp"

// What kernels/winograd_vectors.hpp wants of AVX-512.

namespace qtrain::kernels {
namespace {

struct Vector {
  __m512 values;
};
constexpr size_t kWidth = 16;
constexpr size_t kSums = 16;  ///< of 32 registers; all latencies are hidden from eight on

inline Vector zero() { return {_mm512_setzero_ps()}; }
inline Vector all(float x) { return {_mm512_set1_ps(x)}; }
inline Vector load(const float* x) { return {_mm512_loadu_ps(x)}; }
inline void store(float* y, Vector v) { _mm512_storeu_ps(y, v.values); }
inline Vector widen(const unsigned char* x) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))};
}
inline Vector widen(const signed char* x) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}
inline Vector operator+(Vector a, Vector b) { return {_mm512_add_ps(a.values, b.values)}; }
inline Vector operator-(Vector a, Vector b) { return {_mm512_sub_ps(a.values, b.values)}; }
inline Vector half(Vector a) { return {_mm512_mul_ps(a.values, _mm512_set1_ps(0.5f))}; }
inline Vector fma(Vector a, Vector b, Vector c) { return {_mm512_fmadd_ps(a.values, b.values, c.values)}; }

}  // namespace
}  // namespace qtrain::kernels
