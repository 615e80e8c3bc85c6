#pragma once
#include <immintrin.h>
#include <stddef.h>

// What the *_vectors.hpp of kernels/ want of AVX2 and FMA: see vector_loops.hpp.

namespace qtrain::kernels {
namespace {

struct Vector {
  __m256 values;
};
struct Integers {
  __m256i values;
};
struct Mask {
  __m256i lanes;  ///< all bits of each, or none
};
constexpr size_t kWidth = 8;
constexpr size_t kSums = 8;  ///< of 16 registers

inline Mask first_lanes(size_t count) {
  const __m256i limit = _mm256_set1_epi32(count < kWidth ? static_cast<int>(count) : 8);
  return {_mm256_cmpgt_epi32(limit, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))};
}
inline Mask operator&(Mask a, Mask b) { return {_mm256_and_si256(a.lanes, b.lanes)}; }

inline Vector zero() { return {_mm256_setzero_ps()}; }
inline Vector all(float x) { return {_mm256_set1_ps(x)}; }
inline Vector load(const float* x) { return {_mm256_loadu_ps(x)}; }
inline Vector load(Mask mask, const float* x) { return {_mm256_maskload_ps(x, mask.lanes)}; }
inline void store(float* y, Vector v) { _mm256_storeu_ps(y, v.values); }
inline void store(Mask mask, float* y, Vector v) { _mm256_maskstore_ps(y, mask.lanes, v.values); }
/// As doubles, the first half of the lanes and the second.
inline __m256d low_half(Vector v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v.values)); }
inline __m256d high_half(Vector v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v.values, 1)); }
inline void add_to(double* sum, Vector v) {
  _mm256_storeu_pd(sum, _mm256_add_pd(_mm256_loadu_pd(sum), low_half(v)));
  _mm256_storeu_pd(sum + 4, _mm256_add_pd(_mm256_loadu_pd(sum + 4), high_half(v)));
}
/// Of each lane.
struct DoubleSums {
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  void add(Vector v) {
    low = _mm256_add_pd(low, low_half(v));
    high = _mm256_add_pd(high, high_half(v));
  }
  void add_products(Vector a, Vector b) {
    low = _mm256_add_pd(low, _mm256_mul_pd(low_half(a), low_half(b)));
    high = _mm256_add_pd(high, _mm256_mul_pd(high_half(a), high_half(b)));
  }
  /// Adds one lane after the other.
  void add_in_turn(double* sum) const {
    double lanes[kWidth];
    _mm256_storeu_pd(lanes, low);
    _mm256_storeu_pd(lanes + 4, high);
    for (const double lane : lanes) *sum += lane;
  }
};

inline Vector operator+(Vector a, Vector b) { return {_mm256_add_ps(a.values, b.values)}; }
inline Vector operator-(Vector a, Vector b) { return {_mm256_sub_ps(a.values, b.values)}; }
inline Vector operator*(Vector a, Vector b) { return {_mm256_mul_ps(a.values, b.values)}; }
inline Vector operator/(Vector a, Vector b) { return {_mm256_div_ps(a.values, b.values)}; }
inline Vector half(Vector a) { return {_mm256_mul_ps(a.values, _mm256_set1_ps(0.5f))}; }
inline Vector root(Vector a) { return {_mm256_sqrt_ps(a.values)}; }
inline Vector fma(Vector a, Vector b, Vector c) { return {_mm256_fmadd_ps(a.values, b.values, c.values)}; }
inline Vector min(Vector a, Vector b) { return {_mm256_min_ps(a.values, b.values)}; }
inline Vector max(Vector a, Vector b) { return {_mm256_max_ps(a.values, b.values)}; }
inline Vector ceiling(Vector a) {
  return {_mm256_round_ps(a.values, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)};
}
inline Mask mask_of(__m256 lanes) { return {_mm256_castps_si256(lanes)}; }
inline Mask operator<(Vector a, Vector b) { return mask_of(_mm256_cmp_ps(a.values, b.values, _CMP_LT_OQ)); }
inline Mask operator<=(Vector a, Vector b) { return mask_of(_mm256_cmp_ps(a.values, b.values, _CMP_LE_OQ)); }
inline Mask is_nan(Vector a) { return mask_of(_mm256_cmp_ps(a.values, a.values, _CMP_UNORD_Q)); }
inline Vector kept(Mask mask, Vector a) { return {_mm256_and_ps(a.values, _mm256_castsi256_ps(mask.lanes))}; }
inline Vector chosen(Mask mask, Vector a, Vector b) {
  return {_mm256_blendv_ps(b.values, a.values, _mm256_castsi256_ps(mask.lanes))};
}

inline Integers all_integers(int x) { return {_mm256_set1_epi32(x)}; }
inline Integers all_bytes(int x) { return {_mm256_set1_epi8(static_cast<char>(x))}; }
inline Integers bits(Vector a) { return {_mm256_castps_si256(a.values)}; }
inline Vector as_floats(Integers a) { return {_mm256_castsi256_ps(a.values)}; }
inline Integers operator+(Integers a, Integers b) { return {_mm256_add_epi32(a.values, b.values)}; }
inline Integers operator&(Integers a, Integers b) { return {_mm256_and_si256(a.values, b.values)}; }
inline Integers operator|(Integers a, Integers b) { return {_mm256_or_si256(a.values, b.values)}; }
template <int kBits>
inline Integers shifted_left(Integers a) {
  return {_mm256_slli_epi32(a.values, kBits)};
}
template <int kBits>
inline Integers shifted_right(Integers a) {
  return {_mm256_srli_epi32(a.values, kBits)};
}
inline Integers min(Integers a, Integers b) { return {_mm256_min_epi32(a.values, b.values)}; }
inline Integers max(Integers a, Integers b) { return {_mm256_max_epi32(a.values, b.values)}; }
inline Integers chosen(Mask mask, Integers a, Integers b) {
  return {_mm256_blendv_epi8(b.values, a.values, mask.lanes)};
}
inline void store(int* y, Integers v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), v.values); }

inline Vector converted(Integers a) { return {_mm256_cvtepi32_ps(a.values)}; }
inline Integers truncated(Vector a) { return {_mm256_cvttps_epi32(a.values)}; }
inline Integers rounded_up(Vector a) { return {_mm256_cvttps_epi32(ceiling(a).values)}; }

inline Vector widen(const unsigned char* x) {
  return converted({_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x)))});
}
inline Vector widen(const signed char* x) {
  return converted({_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x)))});
}
inline Vector widen(const short* x) {
  return converted({_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)))});
}
inline Vector widen(const unsigned short* bfloat16) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bfloat16));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))};
}
inline void store_bytes(unsigned char* y, Integers v) {
  const char low = 0, none = -1;
  const __m256i lowest = _mm256_shuffle_epi8(
      v.values, _mm256_setr_epi8(low, 4, 8, 12, none, none, none, none, none, none, none, none, none, none,
                                 none, none, low, 4, 8, 12, none, none, none, none, none, none, none, none,
                                 none, none, none, none));
  const __m128i bytes =
      _mm_unpacklo_epi32(_mm256_castsi256_si128(lowest), _mm256_extracti128_si256(lowest, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(y), bytes);
}
inline void store_upper_halves(unsigned short* y, Integers low, Integers high) {
  const __m256i halves =
      _mm256_packus_epi32(_mm256_srli_epi32(low.values, 16), _mm256_srli_epi32(high.values, 16));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm256_permute4x64_epi64(halves, 0b11'01'10'00));
}
inline void store_upper_halves(unsigned short* y, Integers v) {
  const __m256i upper = _mm256_srli_epi32(v.values, 16);
  const __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y), halves);
}

/// The bytes of four pixels of `lanes` values: those below 0 as 0, those above `tops` as these.
inline void store_codes(const Integers (&x)[4], Integers tops, unsigned char* codes, size_t lanes) {
  const __m256i low = _mm256_packs_epi32(x[0].values, x[1].values);
  const __m256i bytes = _mm256_packus_epi16(low, _mm256_packs_epi32(x[2].values, x[3].values));
  // Four bytes of each pixel, and again of the next lanes.
  const __m256i places = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i in_order = _mm256_permutevar8x32_epi32(_mm256_min_epu8(bytes, tops.values), places);
  const __m128d first = _mm_castsi128_pd(_mm256_castsi256_si128(in_order));
  const __m128d second = _mm_castsi128_pd(_mm256_extracti128_si256(in_order, 1));
  const auto place = [&](size_t k) { return reinterpret_cast<double*>(codes + k * lanes); };
  _mm_storel_pd(place(0), first);
  _mm_storeh_pd(place(1), first);
  _mm_storel_pd(place(2), second);
  _mm_storeh_pd(place(3), second);
}
/// Of one pixel.
inline void store_codes(Integers x, Integers tops, unsigned char* codes) {
  const __m128i shorts =
      _mm_packs_epi32(_mm256_castsi256_si128(x.values), _mm256_extracti128_si256(x.values, 1));
  const __m128i bytes = _mm_min_epu8(_mm_packus_epi16(shorts, shorts), _mm256_castsi256_si128(tops.values));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(codes), bytes);
}

}  // namespace
}  // namespace qtrain::kernels
