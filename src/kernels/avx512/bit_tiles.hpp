#pragma once
#include "kernels/avx512/vectors.hpp"
#include "kernels/bit_rows.hpp"
#include "kernels/sets.hpp"

// The bit-plane convolution over a Counts, which has the popcounts of 16- and 32-bit lanes; each source that
// includes this supplies its own. Vectors are of 16 outputs, every sum stays in its register and lane, and a
// word of activations is broadcast by the instruction that combines it with the weights.

namespace qtrain::kernels::avx512 {
namespace {

inline __m512i broadcast_word(const unsigned char* at) {
  int word;
  __builtin_memcpy(&word, at, sizeof word);
  return _mm512_set1_epi32(word);
}

/// factor * sum + bias of 32-bit sums: integers that float holds, so that the fused operation rounds nothing.
template <class Counts>
struct WholeLane {
  static constexpr size_t kPixels = 1;
  static __m512i count(__m512i bits) { return Counts::of_words(bits); }

  struct Bias {
    __m512 bias, factor;
    Bias(const float* at, float f) : bias(_mm512_loadu_ps(at)), factor(_mm512_set1_ps(f)) {}
  };
  template <size_t kPixel>
  static __m512 floats(__m512i sums, const Bias& b) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), b.factor, b.bias);
  }
  template <size_t kPixel>
  static __m512i integers(__m512i sums, const Bias& b) {
    return _mm512_cvtps_epi32(floats<kPixel>(sums, b));
  }
};

/// The same of 16-bit sums, below 2^15, of the pixel in either half.
template <class Counts>
struct PairLane {
  static constexpr size_t kPixels = 2;
  static __m512i count(__m512i bits) { return Counts::of_halves(bits); }

  struct Bias {
    __m512i bias, low, high;
    Bias(const float* at, float factor)
        : bias(_mm512_cvtps_epi32(_mm512_loadu_ps(at))),
          low(_mm512_set1_epi32(static_cast<int>(factor))),
          high(_mm512_slli_epi32(low, 16)) {}
  };
  template <size_t kPixel>
  static __m512i integers(__m512i sums, const Bias& b) {
    return Counts::add_products(b.bias, sums, kPixel == 0 ? b.low : b.high);
  }
  template <size_t kPixel>
  static __m512 floats(__m512i sums, const Bias& b) {
    return _mm512_cvtepi32_ps(integers<kPixel>(sums, b));
  }
};

/// Results as floats, scaled and added up where the row says so. Like its siblings below an object that keeps
/// what it needs of the row: bytes written could be the row's, as far as the compiler knows.
class FloatResults {
 public:
  using Value = float;
  explicit FloatResults(const TileRow& row)
      : scales_(row.scales), add_(row.add), lanes_(first_lanes(row.vector_outputs)) {}
  template <class Lane, size_t kPixel>
  [[gnu::always_inline]] void store(Value* dst, __m512i sums, const typename Lane::Bias& bias) const {
    _mm512_storeu_ps(dst, Lane::template floats<kPixel>(sums, bias));
  }
  template <class Lane, size_t kPixel>
  void store_some(Value* dst, __m512i sums, const typename Lane::Bias& bias) const {
    __m512 r = Lane::template floats<kPixel>(sums, bias);
    if (scales_ != nullptr) r = _mm512_mul_ps(_mm512_loadu_ps(scales_), r);
    if (add_) r = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes_, dst), r);
    _mm512_mask_storeu_ps(dst, lanes_, r);
  }

 private:
  const float* scales_;
  bool add_;
  __mmask16 lanes_;
};

/// Results as 16-bit integers.
class ShortResults {
 public:
  using Value = short;
  explicit ShortResults(const TileRow& row) : lanes_(first_lanes(row.vector_outputs)) {}
  template <class Lane, size_t kPixel>
  [[gnu::always_inline]] void store(Value* dst, __m512i sums, const typename Lane::Bias& bias) const {
    const __m256i r = _mm512_cvtepi32_epi16(Lane::template integers<kPixel>(sums, bias));
    __builtin_memcpy(dst, &r, sizeof r);
  }
  template <class Lane, size_t kPixel>
  void store_some(Value* dst, __m512i sums, const typename Lane::Bias& bias) const {
    _mm512_mask_cvtepi32_storeu_epi16(dst, lanes_, Lane::template integers<kPixel>(sums, bias));
  }

 private:
  __mmask16 lanes_;
};

/// Results as codes of two levels.
class CodeResults {
 public:
  using Value = unsigned char;
  explicit CodeResults(const TileRow& row)
      : lanes_(first_lanes(row.vector_outputs)),
        low_(_mm_set1_epi8(static_cast<char>(row.thresholds->low))),
        high_(_mm_set1_epi8(static_cast<char>(row.thresholds->high))),
        added_(row.added),
        start_(row.dst) {
    for (size_t added = 0; added < 2; ++added) {
      const size_t first = added * row.thresholds->padded_outputs + row.output;
      thresholds_[added] = _mm512_loadu_si512(row.thresholds->thresholds + first);
      flipped_[added] = row.thresholds->flipped[first / kBlock];
    }
  }
  template <class Lane, size_t kPixel>
  [[gnu::always_inline]] void store(Value* dst, __m512i sums, const typename Lane::Bias& bias) const {
    const __m128i r = codes(dst, Lane::template integers<kPixel>(sums, bias), 0xFFFF);
    __builtin_memcpy(dst, &r, sizeof r);
  }
  template <class Lane, size_t kPixel>
  void store_some(Value* dst, __m512i sums, const typename Lane::Bias& bias) const {
    _mm_mask_storeu_epi8(dst, lanes_, codes(dst, Lane::template integers<kPixel>(sums, bias), lanes_));
  }

 private:
  [[gnu::always_inline]] __mmask16 high(size_t added, __m512i r) const {
    return _kxor_mask16(_mm512_cmpge_epi32_mask(r, thresholds_[added]), flipped_[added]);
  }
  [[gnu::always_inline]] __m128i codes(const Value* dst, __m512i r, __mmask16 lanes) const {
    __mmask16 ones = high(0, r);
    if (added_ != nullptr) {
      const __m128i added = _mm_maskz_loadu_epi8(lanes, added_ + (dst - start_));
      const __mmask16 plus = _mm_test_epi8_mask(added, added);
      ones = _kor_mask16(_kandn_mask16(plus, ones), _kand_mask16(plus, high(1, r)));
    }
    return _mm_mask_blend_epi8(ones, low_, high_);
  }

  __mmask16 lanes_;
  __m128i low_, high_;
  const unsigned char* added_;  ///< of column 0, as start_ is of dst; null: none
  const unsigned char* start_;
  __m512i thresholds_[2];
  __mmask16 flipped_[2];
};

/// Writes the results of the sums from column x on, wherever the row ends and however many outputs there are.
template <class Lane, class Results>
[[gnu::noinline]] void write_some(const TileRow& row, size_t x, const __m512i* sums, size_t units) {
  const Results results(row);
  auto* dst = reinterpret_cast<typename Results::Value*>(row.dst) + x * row.outputs;
  const auto bias = [&] { return typename Lane::Bias(row.bias + row.column_classes[x], row.factor); };
  for (size_t u = 0; u < units; ++u) {
    results.template store_some<Lane, 0>(dst, sums[u], bias());
    ++x;
    dst += row.outputs;
    if (Lane::kPixels == 1 || x >= row.width) continue;
    results.template store_some<Lane, Lane::kPixels - 1>(dst, sums[u], bias());
    ++x;
    dst += row.outputs;
  }
}

/// The same for whole units of 16 outputs without scales.
template <class Lane, class Results, bool kOneClass, size_t kUnits>
[[gnu::always_inline]] inline void write_all(const TileRow& row, size_t x, const __m512i (&sums)[kUnits]) {
  using Bias = typename Lane::Bias;
  const Results results(row);
  auto* dst = reinterpret_cast<typename Results::Value*>(row.dst) + x * row.outputs;
  const size_t outputs = row.outputs;
  const size_t* classes = row.column_classes + x;
  const float* biases = row.bias;
  const float factor = row.factor;
  const Bias common(biases + *classes, factor);
  for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
    for_each_index<Lane::kPixels>([&](auto pixel) __attribute__((always_inline)) {
      const Bias bias = kOneClass ? common : Bias(biases + *classes++, factor);
      results.template store<Lane, pixel.value>(dst, sums[u.value], bias);
      dst += outputs;
    });
  });
}

/// kUnits units of pixels from column x on.
template <class Lane, class Results, bool kMasked, size_t kUnits>
void tile(const TileRow& row, size_t x) {
  const size_t* offsets = row.word_offsets;
  const size_t word_count = row.word_count;
  const unsigned char* start = row.corner + x * (kUnitBytes / Lane::kPixels);
  __m512i sums[kUnits];  // zero for the compiler alone, which does not know that there is a first product
  for_each_index<kUnits>([&](auto u)
                             __attribute__((always_inline)) { sums[u.value] = _mm512_setzero_si512(); });
  for (size_t j = 0; j < row.product_count; ++j) {
    const PlaneProduct& product = row.products[j];
    const unsigned char* corner = start + product.plane_offset;
    const uint32_t* signs = row.signs + product.weight_offset;
    const uint32_t* masks = row.masks + product.weight_offset;
    const auto each_count = [&](size_t k, const auto& body) __attribute__((always_inline)) {
      const unsigned char* words = corner + offsets[k];
      const __m512i sign = _mm512_loadu_si512(signs + k * kBlock);
      const __m512i mask = kMasked ? _mm512_loadu_si512(masks + k * kBlock) : sign;
      for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
        const __m512i word = broadcast_word(words + kUnitBytes * u.value);
        body(u,
             Lane::count(kMasked ? _mm512_ternarylogic_epi32(word, sign, mask, 0x28)  // (word ^ sign) & mask
                                 : _mm512_xor_si512(sign, word)));
      });
    };
    size_t k = 0;
    if (j == 0)
      each_count(
          k++, [&](auto u, __m512i count) __attribute__((always_inline)) { sums[u.value] = count; });
    if (product.doubled)
      for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
        sums[u.value] = _mm512_add_epi32(sums[u.value], sums[u.value]);
      });
    for (; k < word_count; ++k)
      each_count(
          k, [&](auto u, __m512i count)
                 __attribute__((always_inline)) { sums[u.value] = _mm512_add_epi32(sums[u.value], count); });
  }
  if (row.scales != nullptr || row.vector_outputs < kWidth || x + kUnits * Lane::kPixels > row.width) {
    __m512i kept[kUnits];
    for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) { kept[u.value] = sums[u.value]; });
    write_some<Lane, Results>(row, x, kept, kUnits);
  } else if (row.one_class) {
    write_all<Lane, Results, true>(row, x, sums);
  } else {
    write_all<Lane, Results, false>(row, x, sums);
  }
}

template <class Lane, class Results>
struct TileOf {
  template <bool kMasked, size_t kUnits>
  static constexpr Tile kTile = tile<Lane, Results, kMasked, kUnits>;
};

template <class Lane, class Results>
constexpr Tiles kTiles = list_tiles<TileOf<Lane, Results>>(Lane::kPixels, kWidth, AllUnits{});

template <class Counts, class Results>
const Tiles& tiles_of(const BitPlan& plan) {
  return plan.layout.lane_bytes == 2 ? kTiles<PairLane<Counts>, Results> : kTiles<WholeLane<Counts>, Results>;
}

template <class Counts, class Results>
void convolve(const BitPlan& plan, const unsigned char* planes, size_t images, size_t first_row,
              size_t last_row, typename Results::Value* dst) {
  run_images(plan, tiles_of<Counts, Results>(plan), planes, images, first_row, last_row,
             {reinterpret_cast<unsigned char*>(dst), sizeof *dst});
}

template <class Counts>
void convolve_to_codes(const BitPlan& plan, const BitThresholds& thresholds, const unsigned char* planes,
                       const unsigned char* added, unsigned char* dst) {
  run_images(plan, tiles_of<Counts, CodeResults>(plan), planes, 1, 0, plan.out_height,
             {dst, sizeof *dst, &thresholds, added});
}

// As many chains as leave the compiler a register each for their next link.
template <class Counts>
double popcount_burn(size_t iterations) {
  constexpr size_t kChains = 15;
  const volatile int unknown = 0x5555;  // to the compiler, which else would compute the answer
  const __m512i x = _mm512_set1_epi32(unknown);
  __m512i chains[kChains];
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) chains[c] = _mm512_set1_epi32(static_cast<int>(c));
  for (size_t i = 0; i < iterations; ++i)
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c)
      chains[c] = _mm512_add_epi32(chains[c], Counts::of_words(_mm512_xor_si512(chains[c], x)));
  __m512i sum = chains[0];
#pragma GCC unroll 16
  for (size_t c = 1; c < kChains; ++c) sum = _mm512_add_epi32(sum, chains[c]);
  volatile int kept = _mm512_reduce_add_epi32(sum);  // a reader the compiler must serve
  static_cast<void>(kept);
  return static_cast<double>(iterations) * (kChains * 512.0);
}

template <class Counts>
void fill(Kernels& set) {
  set.bit_convolution = convolve<Counts, FloatResults>;
  set.bit_convolution_shorts = convolve<Counts, ShortResults>;
  set.bit_convolution_codes = convolve_to_codes<Counts>;
  set.popcount_burn = popcount_burn<Counts>;
}

}  // namespace
}  // namespace qtrain::kernels::avx512
