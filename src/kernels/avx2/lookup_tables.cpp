#include <immintrin.h>
#include <stddef.h>

#include "kernels/sets.hpp"

namespace qtrain::kernels {
namespace {

struct Vector {
  __m256i values;
};
constexpr size_t kLanes = 2;
constexpr size_t kMostPixels = 4;

inline __m256i* at(unsigned char* y) { return reinterpret_cast<__m256i*>(y); }
inline Vector zero() { return {_mm256_setzero_si256()}; }
inline Vector load(const unsigned char* x) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))};
}
inline void store(unsigned char* y, Vector v) { _mm256_storeu_si256(at(y), v.values); }
inline __m128i repeatable(const unsigned char* x) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
}
inline Vector repeated(__m128i x) { return {_mm256_broadcastq_epi64(x)}; }
inline Vector look_up(Vector table, Vector places) {
  return {_mm256_shuffle_epi8(table.values, places.values)};
}
inline Vector add_bytes(Vector a, Vector b) { return {_mm256_add_epi8(a.values, b.values)}; }
inline Vector subtract_bytes(Vector a, Vector b) { return {_mm256_sub_epi8(a.values, b.values)}; }
inline Vector add_shorts(Vector a, Vector b) { return {_mm256_add_epi16(a.values, b.values)}; }
inline Vector high_bytes(Vector a) { return {_mm256_srli_epi16(a.values, 8)}; }
inline __m256i half(Vector a) { return a.values; }

}  // namespace
}  // namespace qtrain::kernels

#include "kernels/lookup_vectors.hpp"

namespace qtrain::kernels::avx2 {

void fill_lookup_tables(Kernels& set) { fill<TableMaker>(set); }

}  // namespace qtrain::kernels::avx2
