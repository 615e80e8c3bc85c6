#pragma once
#include "kernels/avx512/vector.hpp"
#include "kernels/bit_rows.hpp"

// What the bit-plane convolution makes of its sums. A Lane is where a sum lies; Results make values of sums,
// those of two neighbouring pixels at a time:
//
//   kDoubled                        whether sums must come times the factor
//   bias(first, second)             what enters besides the sums, from where either pixel's biases lie
//   pair(first, second, bias)       the values, from the units of either pixel
//   store<kBoth>(dst, outputs, pair)      to 16 outputs of the first pixel, or of both
//   store_some(dst, outputs, pair, both)  the same where outputs are fewer, or scaled
//
// Results keep what they need of the rows: bytes written could be the rows', as far as the compiler knows.

namespace qtrain::kernels::avx512 {
namespace {

/// Of the 16-bit halves of 32-bit lanes, which go where: the low ones of one vector, then those of another,
/// or the low ones and then the high ones of a vector.
alignas(64) constexpr short kLowLow[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                           32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
alignas(64) constexpr short kLowHigh[32] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                            1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};

inline __m512i low_halves(__m512i first, __m512i second) {
  return _mm512_permutex2var_epi16(first, _mm512_load_si512(kLowLow), second);
}

/// A sum of 32 bits. Two pixels are two units.
template <class Counts>
struct WholeLane {
  static constexpr size_t kPixels = 1;
  static __m512i count(__m512i bits) { return Counts::of_words(bits); }
  static __m512i shorts(__m512i first, __m512i second) { return low_halves(first, second); }

  /// factor * sum + bias: integers that float holds, so that the fused operation rounds nothing.
  struct Floats {
    __m512 factor;
    explicit Floats(float f) : factor(_mm512_set1_ps(f)) {}
    template <size_t kPixel>
    __m512 of(__m512i sums, __m512 bias) const {
      return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), factor, bias);
    }
  };
};

/// A sum of 16 bits, below 2^15. Two pixels are the halves of one unit.
template <class Counts>
struct PairLane {
  static constexpr size_t kPixels = 2;
  static __m512i count(__m512i bits) { return Counts::of_halves(bits); }
  static __m512i shorts(__m512i sums, __m512i /*same*/) {
    return _mm512_permutexvar_epi16(_mm512_load_si512(kLowHigh), sums);
  }

  /// The sum times factor and 0 or 0 and factor, plus bias.
  struct Floats {
    __m512i low, high;
    explicit Floats(float f)
        : low(_mm512_set1_epi32(static_cast<int>(f))), high(_mm512_slli_epi32(low, 16)) {}
    template <size_t kPixel>
    __m512 of(__m512i sums, __m512 bias) const {
      return _mm512_cvtepi32_ps(
          Counts::add_products(_mm512_cvtps_epi32(bias), sums, kPixel == 0 ? low : high));
    }
  };
};

/// Results as floats, scaled and added up where the rows say so.
template <class Lane>
class FloatResults {
 public:
  using Value = float;
  static constexpr bool kDoubled = false;
  struct Bias {
    __m512 first, second;
  };
  struct Pair {
    __m512 first, second;
  };
  explicit FloatResults(const TileRows& rows)
      : floats_(rows.factor),
        scales_(rows.scales),
        add_(rows.add),
        lanes_(first_lanes(rows.vector_outputs).lanes) {}
  static Bias bias(const float* first, const float* second) {
    return {_mm512_loadu_ps(first), _mm512_loadu_ps(second)};
  }
  [[gnu::always_inline]] Pair pair(__m512i first, __m512i second, const Bias& bias) const {
    return {floats_.template of<0>(first, bias.first),
            floats_.template of<Lane::kPixels - 1>(second, bias.second)};
  }
  template <bool kBoth>
  [[gnu::always_inline]] void store(Value* dst, size_t outputs, const Pair& r) const {
    _mm512_storeu_ps(dst, r.first);
    if (kBoth) _mm512_storeu_ps(dst + outputs, r.second);
  }
  void store_some(Value* dst, size_t outputs, const Pair& r, bool both) const {
    store_some(dst, r.first);
    if (both) store_some(dst + outputs, r.second);
  }

 private:
  void store_some(Value* dst, __m512 r) const {
    if (scales_ != nullptr) r = _mm512_mul_ps(_mm512_loadu_ps(scales_), r);
    if (add_) r = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes_, dst), r);
    _mm512_mask_storeu_ps(dst, lanes_, r);
  }

  typename Lane::Floats floats_;
  const float* scales_;
  bool add_;
  __mmask16 lanes_;
};

/// Results as 16-bit integers, of two pixels those of the second in the upper half. As they fit, doubling and
/// adding may wrap around.
template <class Lane>
class ShortResults {
 public:
  using Value = short;
  static constexpr bool kDoubled = true;
  using Bias = __m512i;
  using Pair = __m512i;
  explicit ShortResults(const TileRows& rows) : lanes_(first_lanes(rows.vector_outputs).lanes) {}
  static Bias bias(const float* first, const float* second) {
    return low_halves(_mm512_cvtps_epi32(_mm512_loadu_ps(first)),
                      _mm512_cvtps_epi32(_mm512_loadu_ps(second)));
  }
  [[gnu::always_inline]] Pair pair(__m512i first, __m512i second, Bias bias) const {
    return _mm512_add_epi16(Lane::shorts(first, second), bias);
  }
  template <bool kBoth>
  [[gnu::always_inline]] void store(Value* dst, size_t outputs, Pair r) const {
    _mm256_storeu_epi16(dst, _mm512_castsi512_si256(r));
    if (kBoth) _mm256_storeu_epi16(dst + outputs, _mm512_extracti64x4_epi64(r, 1));
  }
  void store_some(Value* dst, size_t outputs, Pair r, bool both) const {
    _mm256_mask_storeu_epi16(dst, lanes_, _mm512_castsi512_si256(r));
    if (both) _mm256_mask_storeu_epi16(dst + outputs, lanes_, _mm512_extracti64x4_epi64(r, 1));
  }

 private:
  __mmask16 lanes_;
};

/// Results as codes of two levels, kCodes of them for each result: that where the code added is 0 and, if
/// there is a tensor to add, that where it is 1. With factors 1 and 2 as shifts,
///
///   (sum << shift) + bias >= threshold   is   sum > (threshold - 1 - bias) >> shift
///
/// and the right side may saturate: results are above -2^15, sums of 0 to 2^15 - 1 after the shift.
template <class Lane, size_t kCodes>
class CodeResults {
 public:
  using Value = unsigned char;
  static constexpr bool kDoubled = false;
  struct Bias {
    __m512i limits[kCodes];
  };
  struct Pair {
    __m256i codes[kCodes];
  };
  explicit CodeResults(const TileRows& rows)
      : shift_(_mm_cvtsi32_si128(rows.factor == 2.0F)),
        lanes_(first_lanes(rows.vector_outputs).lanes),
        added_(rows.added),
        start_(rows.dst) {
    const BitThresholds& t = *rows.thresholds;
    const __m256i low = _mm256_set1_epi8(static_cast<char>(t.low)),
                  high = _mm256_set1_epi8(static_cast<char>(t.high));
    for (size_t added = 0; added < kCodes; ++added) {
      const size_t first = added * t.padded_outputs + rows.output;
      const __m512i thresholds = _mm512_broadcast_i64x4(_mm256_loadu_epi16(t.thresholds + first));
      highest_below_[added] = _mm512_subs_epi16(thresholds, _mm512_set1_epi16(1));
      const __mmask32 flipped = t.flipped[first / kBlock] * 0x10001U;
      below_[added] = _mm256_mask_blend_epi8(flipped, low, high);
      above_[added] = _mm256_mask_blend_epi8(flipped, high, low);
    }
  }
  Bias bias(const float* first, const float* second) const {
    const __m512i bias = ShortResults<Lane>::bias(first, second);
    Bias all;
    for_each_index<kCodes>([&](auto i) __attribute__((always_inline)) {
      all.limits[i.value] = _mm512_sra_epi16(_mm512_subs_epi16(highest_below_[i.value], bias), shift_);
    });
    return all;
  }
  [[gnu::always_inline]] Pair pair(__m512i first, __m512i second, const Bias& bias) const {
    const __m512i sums = Lane::shorts(first, second);
    Pair all;
    for_each_index<kCodes>([&](auto i) __attribute__((always_inline)) {
      const __mmask32 above = _mm512_cmpgt_epi16_mask(sums, bias.limits[i.value]);
      all.codes[i.value] = _mm256_mask_blend_epi8(above, below_[i.value], above_[i.value]);
    });
    return all;
  }
  template <bool kBoth>
  [[gnu::always_inline]] void store(Value* dst, size_t outputs, const Pair& r) const {
    const auto load = [](const Value* at) { return _mm_loadu_epi8(at); };
    const __m256i codes = choose<kBoth>(dst, outputs, r, load);
    _mm_storeu_epi8(dst, _mm256_castsi256_si128(codes));
    if (kBoth) _mm_storeu_epi8(dst + outputs, _mm256_extracti128_si256(codes, 1));
  }
  void store_some(Value* dst, size_t outputs, const Pair& r, bool both) const {
    const auto load = [this](const Value* at) { return _mm_maskz_loadu_epi8(lanes_, at); };
    const __m256i codes = both ? choose<true>(dst, outputs, r, load) : choose<false>(dst, outputs, r, load);
    _mm_mask_storeu_epi8(dst, lanes_, _mm256_castsi256_si128(codes));
    if (both) _mm_mask_storeu_epi8(dst + outputs, lanes_, _mm256_extracti128_si256(codes, 1));
  }

 private:
  template <bool kBoth, class Load>
  [[gnu::always_inline]] __m256i choose(const Value* dst, size_t outputs, const Pair& r,
                                        const Load& load) const {
    if constexpr (kCodes == 1) return r.codes[0];
    const Value* at = added_ + (dst - start_);
    __m256i added = _mm256_castsi128_si256(load(at));
    if (kBoth) added = _mm256_inserti128_si256(added, load(at + outputs), 1);
    return _mm256_mask_blend_epi8(_mm256_test_epi8_mask(added, added), r.codes[0], r.codes[kCodes - 1]);
  }

  __m128i shift_;
  __mmask16 lanes_;
  const unsigned char* added_;  ///< of column 0, as start_ is of dst
  const unsigned char* start_;
  __m512i highest_below_[kCodes];
  __m256i below_[kCodes], above_[kCodes];
};

template <class Lane>
using Codes = CodeResults<Lane, 1>;
template <class Lane>
using SumCodes = CodeResults<Lane, 2>;

}  // namespace
}  // namespace qtrain::kernels::avx512
