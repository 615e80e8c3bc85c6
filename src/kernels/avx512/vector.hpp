#pragma once
#include "kernels/avx512/intrinsics.hpp"

// What the *_vectors.hpp of kernels/ want of AVX-512: see vector_loops.hpp.

namespace qtrain::kernels {
namespace {

struct Vector {
  __m512 values;
};
struct Integers {
  __m512i values;
};
struct Mask {
  __mmask16 lanes;
};
constexpr size_t kWidth = 16;
constexpr size_t kSums = 16;  ///< of 32 registers; all latencies are hidden from eight on

inline Mask first_lanes(size_t count) {
  return {static_cast<__mmask16>(count < kWidth ? (1u << count) - 1u : 0xFFFFu)};
}
inline Mask operator&(Mask a, Mask b) { return {static_cast<__mmask16>(a.lanes & b.lanes)}; }

inline Vector zero() { return {_mm512_setzero_ps()}; }
inline Vector all(float x) { return {_mm512_set1_ps(x)}; }
inline Vector load(const float* x) { return {_mm512_loadu_ps(x)}; }
inline Vector load(Mask mask, const float* x) { return {_mm512_maskz_loadu_ps(mask.lanes, x)}; }
inline void store(float* y, Vector v) { _mm512_storeu_ps(y, v.values); }
inline void store(Mask mask, float* y, Vector v) { _mm512_mask_storeu_ps(y, mask.lanes, v.values); }
/// As doubles, the first half of the lanes and the second.
inline __m512d low_half(Vector v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v.values)); }
inline __m512d high_half(Vector v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v.values, 1)); }
inline void add_to(double* sum, Vector v) {
  _mm512_storeu_pd(sum, _mm512_add_pd(_mm512_loadu_pd(sum), low_half(v)));
  _mm512_storeu_pd(sum + 8, _mm512_add_pd(_mm512_loadu_pd(sum + 8), high_half(v)));
}
/// Of each lane.
struct DoubleSums {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  void add(Vector v) {
    low = _mm512_add_pd(low, low_half(v));
    high = _mm512_add_pd(high, high_half(v));
  }
  void add_products(Vector a, Vector b) {
    low = _mm512_add_pd(low, _mm512_mul_pd(low_half(a), low_half(b)));
    high = _mm512_add_pd(high, _mm512_mul_pd(high_half(a), high_half(b)));
  }
  /// Adds one lane after the other.
  void add_in_turn(double* sum) const {
    double lanes[kWidth];
    _mm512_storeu_pd(lanes, low);
    _mm512_storeu_pd(lanes + 8, high);
    for (const double lane : lanes) *sum += lane;
  }
};

inline Vector operator+(Vector a, Vector b) { return {_mm512_add_ps(a.values, b.values)}; }
inline Vector operator-(Vector a, Vector b) { return {_mm512_sub_ps(a.values, b.values)}; }
inline Vector operator*(Vector a, Vector b) { return {_mm512_mul_ps(a.values, b.values)}; }
inline Vector operator/(Vector a, Vector b) { return {_mm512_div_ps(a.values, b.values)}; }
inline Vector half(Vector a) { return {_mm512_mul_ps(a.values, _mm512_set1_ps(0.5f))}; }
inline Vector root(Vector a) { return {_mm512_sqrt_ps(a.values)}; }
inline Vector fma(Vector a, Vector b, Vector c) { return {_mm512_fmadd_ps(a.values, b.values, c.values)}; }
inline Vector min(Vector a, Vector b) { return {_mm512_min_ps(a.values, b.values)}; }
inline Vector max(Vector a, Vector b) { return {_mm512_max_ps(a.values, b.values)}; }
inline Vector ceiling(Vector a) {
  return {_mm512_roundscale_ps(a.values, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)};
}
inline Mask operator<(Vector a, Vector b) { return {_mm512_cmp_ps_mask(a.values, b.values, _CMP_LT_OQ)}; }
inline Mask operator<=(Vector a, Vector b) { return {_mm512_cmp_ps_mask(a.values, b.values, _CMP_LE_OQ)}; }
inline Mask is_nan(Vector a) { return {_mm512_cmp_ps_mask(a.values, a.values, _CMP_UNORD_Q)}; }
inline Vector kept(Mask mask, Vector a) { return {_mm512_maskz_mov_ps(mask.lanes, a.values)}; }
inline Vector chosen(Mask mask, Vector a, Vector b) {
  return {_mm512_mask_blend_ps(mask.lanes, b.values, a.values)};
}

inline Integers all_integers(int x) { return {_mm512_set1_epi32(x)}; }
inline Integers all_bytes(int x) { return {_mm512_set1_epi8(static_cast<char>(x))}; }
inline Integers bits(Vector a) { return {_mm512_castps_si512(a.values)}; }
inline Vector as_floats(Integers a) { return {_mm512_castsi512_ps(a.values)}; }
inline Integers operator+(Integers a, Integers b) { return {_mm512_add_epi32(a.values, b.values)}; }
inline Integers operator&(Integers a, Integers b) { return {_mm512_and_si512(a.values, b.values)}; }
inline Integers operator|(Integers a, Integers b) { return {_mm512_or_si512(a.values, b.values)}; }
template <unsigned kBits>
inline Integers shifted_left(Integers a) {
  return {_mm512_slli_epi32(a.values, kBits)};
}
template <unsigned kBits>
inline Integers shifted_right(Integers a) {
  return {_mm512_srli_epi32(a.values, kBits)};
}
inline Integers min(Integers a, Integers b) { return {_mm512_min_epi32(a.values, b.values)}; }
inline Integers max(Integers a, Integers b) { return {_mm512_max_epi32(a.values, b.values)}; }
inline Integers chosen(Mask mask, Integers a, Integers b) {
  return {_mm512_mask_blend_epi32(mask.lanes, b.values, a.values)};
}
inline void store(int* y, Integers v) { _mm512_storeu_si512(y, v.values); }

inline Vector converted(Integers a) { return {_mm512_cvtepi32_ps(a.values)}; }
inline Integers truncated(Vector a) { return {_mm512_cvttps_epi32(a.values)}; }
inline Integers rounded_up(Vector a) {
  return {_mm512_cvt_roundps_epi32(a.values, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)};
}

inline Vector widen(const unsigned char* x) {
  return converted({_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)))});
}
inline Vector widen(const signed char* x) {
  return converted({_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)))});
}
inline Vector widen(const short* x) {
  return converted({_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)))});
}
inline Vector widen(const unsigned short* bfloat16) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bfloat16));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))};
}
inline void store_bytes(unsigned char* y, Integers v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm512_cvtepi32_epi8(v.values));
}
inline void store_upper_halves(unsigned short* y, Integers v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm512_cvtepi32_epi16(_mm512_srli_epi32(v.values, 16)));
}
inline void store_upper_halves(unsigned short* y, Integers low, Integers high) {
  alignas(64) static constexpr unsigned short kUpper[2 * kWidth] = {
      1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
      33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  _mm512_storeu_si512(y, _mm512_permutex2var_epi16(low.values, _mm512_load_si512(kUpper), high.values));
}

/// The bytes of four pixels of `lanes` values: those below 0 as 0, those above `tops` as these.
inline void store_codes(const Integers (&x)[4], Integers tops, unsigned char* codes, size_t lanes) {
  const __m512i low = _mm512_packs_epi32(x[0].values, x[1].values);
  const __m512i bytes = _mm512_packus_epi16(low, _mm512_packs_epi32(x[2].values, x[3].values));
  // Four bytes of each pixel, and again of the next lanes.
  const __m512i places = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i in_order = _mm512_permutexvar_epi32(places, _mm512_min_epu8(bytes, tops.values));
  if (lanes == kWidth) return _mm512_storeu_si512(codes, in_order);
  const auto store_pixel = [&](size_t k, __m128i pixel) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + k * lanes), pixel);
  };
  store_pixel(0, _mm512_castsi512_si128(in_order));
  store_pixel(1, _mm512_extracti32x4_epi32(in_order, 1));
  store_pixel(2, _mm512_extracti32x4_epi32(in_order, 2));
  store_pixel(3, _mm512_extracti32x4_epi32(in_order, 3));
}
/// Of one pixel.
inline void store_codes(Integers x, Integers tops, unsigned char* codes) {
  const __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(x.values, _mm512_setzero_si512()));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes),
                   _mm_min_epu8(bytes, _mm512_castsi512_si128(tops.values)));
}

}  // namespace
}  // namespace qtrain::kernels
