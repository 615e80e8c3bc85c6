#include <immintrin.h>
#include <stddef.h>

#include "kernels/sets.hpp"

namespace qtrain::kernels {
namespace {

struct Vector {
  __m256 values;
};
constexpr size_t kWidth = 8;
constexpr size_t kSums = 8;  ///< of 16 registers

inline Vector zero() { return {_mm256_setzero_ps()}; }
inline Vector all(float x) { return {_mm256_set1_ps(x)}; }
inline Vector load(const float* x) { return {_mm256_loadu_ps(x)}; }
inline void store(float* y, Vector v) { _mm256_storeu_ps(y, v.values); }
inline Vector widen(const unsigned char* x) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))};
}
inline Vector widen(const signed char* x) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))};
}
inline Vector operator+(Vector a, Vector b) { return {_mm256_add_ps(a.values, b.values)}; }
inline Vector operator-(Vector a, Vector b) { return {_mm256_sub_ps(a.values, b.values)}; }
inline Vector half(Vector a) { return {_mm256_mul_ps(a.values, _mm256_set1_ps(0.5f))}; }
inline Vector fma(Vector a, Vector b, Vector c) { return {_mm256_fmadd_ps(a.values, b.values, c.values)}; }

}  // namespace
}  // namespace qtrain::kernels

#include "kernels/winograd_vectors.hpp"

namespace qtrain::kernels::avx2 {

void fill_winograd(Kernels& set) { fill(set); }

}  // namespace qtrain::kernels::avx2
