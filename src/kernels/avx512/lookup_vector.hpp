#pragma once
#include "kernels/avx512/intrinsics.hpp"

// What kernels/lookup_vectors.hpp wants of AVX-512.

namespace qtrain::kernels {
namespace {

struct Vector {
  __m512i values;
};
constexpr size_t kLanes = 4;
constexpr size_t kMostPixels = 8;

inline Vector zero() { return {_mm512_setzero_si512()}; }
inline Vector load(const unsigned char* x) { return {_mm512_loadu_si512(x)}; }
inline void store(unsigned char* y, Vector v) { _mm512_storeu_si512(y, v.values); }
inline __m128i repeatable(const unsigned char* x) { return _mm_loadu_epi8(x); }
inline Vector repeated(__m128i x) { return {_mm512_broadcast_i32x4(x)}; }
inline Vector look_up(Vector table, Vector places) {
  return {_mm512_shuffle_epi8(table.values, places.values)};
}
inline Vector add_bytes(Vector a, Vector b) { return {_mm512_add_epi8(a.values, b.values)}; }
inline Vector subtract_bytes(Vector a, Vector b) { return {_mm512_sub_epi8(a.values, b.values)}; }
inline Vector add_shorts(Vector a, Vector b) { return {_mm512_add_epi16(a.values, b.values)}; }
inline Vector high_bytes(Vector a) { return {_mm512_srli_epi16(a.values, 8)}; }
inline __m256i half(Vector a) {
  return _mm256_add_epi16(_mm512_castsi512_si256(a.values), _mm512_extracti64x4_epi64(a.values, 1));
}

}  // namespace
}  // namespace qtrain::kernels
