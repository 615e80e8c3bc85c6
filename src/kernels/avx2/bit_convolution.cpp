#include <immintrin.h>

#include "kernels/bit_rows.hpp"
#include "kernels/sets.hpp"

// Vectors are of 8 outputs, half a block of weights: the counts of 8 units, one vector of weights and the
// constants are what 16 registers hold. Counts are added up as bytes; their sums are widened to those of
// lanes before they could overflow.

namespace qtrain::kernels::avx2 {
namespace {

constexpr size_t kOutputs = 8;
/// Words whose counts a byte can hold: each adds at most 8 to it, and 31 * 8 = 248, 32 * 8 = 256.
constexpr size_t kByteWords = 31;

inline __m256i load_words(const uint32_t* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

inline __m256i broadcast_word(const unsigned char* at) {
  int word;
  __builtin_memcpy(&word, at, sizeof word);
  return _mm256_set1_epi32(word);
}

/// VPSHUFB looks up the popcounts of the two halves of each byte (Mula).
inline __m256i count_bytes(__m256i bits) {
  const __m256i counts =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const __m256i low = _mm256_set1_epi8(0x0F);
  const __m256i high_counts = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi32(bits, 4), low));
  return _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(bits, low)), high_counts);
}

/// Sums of two neighbouring bytes, at most 2 * 248: VPMADDUBSW saturates only beyond 2^15 - 1.
inline __m256i halves_of(__m256i bytes) { return _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1)); }

struct WholeLane {
  static constexpr size_t kPixels = 1;
  static __m256i widen(__m256i bytes) { return _mm256_madd_epi16(halves_of(bytes), _mm256_set1_epi16(1)); }
  static __m256i sum_of(__m256i sums, size_t /*pixel*/) { return sums; }
};

/// Sums of 16 bits, below 2^15, of the pixel in either half; whole lanes are added, with no carry between.
struct PairLane {
  static constexpr size_t kPixels = 2;
  static __m256i widen(__m256i bytes) { return halves_of(bytes); }
  static __m256i sum_of(__m256i sums, size_t pixel) {
    return pixel == 0 ? _mm256_and_si256(sums, _mm256_set1_epi32(0xFFFF)) : _mm256_srli_epi32(sums, 16);
  }
};

/// Mask of the first `count` of 8 lanes.
inline __m256i first_lanes(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/// factor * sum + bias; both are integers that float holds.
inline __m256 result(__m256i sum, __m256 factor, const float* bias) {
  return _mm256_add_ps(_mm256_mul_ps(factor, _mm256_cvtepi32_ps(sum)), _mm256_loadu_ps(bias));
}

/// Results as floats, scaled and added up where the row says so.
struct FloatResults {
  using Value = float;
  static void store(const TileRows& /*rows*/, Value* dst, __m256 r) { _mm256_storeu_ps(dst, r); }
  static void store_some(const TileRows& rows, Value* dst, __m256 r) {
    const __m256i lanes = first_lanes(rows.vector_outputs);
    if (rows.scales != nullptr) r = _mm256_mul_ps(_mm256_loadu_ps(rows.scales), r);
    if (rows.add) r = _mm256_add_ps(_mm256_maskload_ps(dst, lanes), r);
    _mm256_maskstore_ps(dst, lanes, r);
  }
};

/// Copies the first `count` of the 8 values in `all`.
template <class Value>
void copy_some(__m128i all, size_t count, Value* dst) {
  Value values[16 / sizeof(Value)];
  __builtin_memcpy(values, &all, sizeof values);
  for (size_t i = 0; i < count; ++i) dst[i] = values[i];
}

/// Results as 16-bit integers.
struct ShortResults {
  using Value = short;
  static __m128i shorts(__m256 r) {
    const __m256i integers = _mm256_cvtps_epi32(r);
    return _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
  }
  static void store(const TileRows& /*rows*/, Value* dst, __m256 r) {
    const __m128i all = shorts(r);
    __builtin_memcpy(dst, &all, sizeof all);
  }
  static void store_some(const TileRows& rows, Value* dst, __m256 r) {
    copy_some(shorts(r), rows.vector_outputs, dst);
  }
};

/// Results as codes of two levels.
struct CodeResults {
  using Value = unsigned char;
  static unsigned high(const TileRows& rows, size_t added, __m256i r) {
    const BitThresholds& t = *rows.thresholds;
    const size_t first = added * t.padded_outputs + rows.output;
    const __m256i thresholds =
        _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(t.thresholds + first)));
    const auto below =
        static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(thresholds, r))));
    return ~below ^ static_cast<unsigned>(t.flipped[first / kBlock]) >> first % kBlock;
  }
  /// Of 8 outputs, the lower half of the result.
  static __m128i codes(const TileRows& rows, const Value* dst, __m256 r) {
    const __m256i integers = _mm256_cvtps_epi32(r);
    unsigned ones = high(rows, 0, integers);
    if (rows.added != nullptr) {
      const unsigned char* added = rows.added + (dst - rows.dst);
      unsigned plus = 0;
      for (size_t i = 0; i < rows.vector_outputs; ++i) plus |= static_cast<unsigned>(added[i] != 0) << i;
      ones = (ones & ~plus) | (high(rows, 1, integers) & plus);
    }
    const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i set = _mm_and_si128(_mm_set1_epi8(static_cast<char>(ones)), bits);
    return _mm_blendv_epi8(_mm_set1_epi8(static_cast<char>(rows.thresholds->low)),
                           _mm_set1_epi8(static_cast<char>(rows.thresholds->high)),
                           _mm_cmpeq_epi8(set, bits));
  }
  static void store(const TileRows& rows, Value* dst, __m256 r) {
    const __m128i all = codes(rows, dst, r);
    __builtin_memcpy(dst, &all, kOutputs);
  }
  static void store_some(const TileRows& rows, Value* dst, __m256 r) {
    copy_some(codes(rows, dst, r), rows.vector_outputs, dst);
  }
};

/// Writes the results of row y's sums from column x on, wherever the row ends and however many outputs there
/// are.
template <class Lane, class Results>
[[gnu::noinline]] void write_some(const TileRows& rows, size_t y, size_t x, const __m256i* sums,
                                  size_t units) {
  const __m256 factor = _mm256_set1_ps(rows.factor);
  const float* bias = rows.bias + rows.row_classes[y];
  auto* dst = reinterpret_cast<typename Results::Value*>(rows.dst + y * rows.dst_step) + x * rows.outputs;
  for (size_t i = 0; i < units * Lane::kPixels && x < rows.width; ++i, ++x, dst += rows.outputs) {
    const __m256i sum = Lane::sum_of(sums[i / Lane::kPixels], i % Lane::kPixels);
    Results::store_some(rows, dst, result(sum, factor, bias + rows.column_classes[x]));
  }
}

/// The same for whole units of 8 outputs without scales.
template <class Lane, class Results, size_t kUnits>
[[gnu::always_inline]] inline void write_all(const TileRows& rows, size_t y, size_t x,
                                             const __m256i (&sums)[kUnits]) {
  const __m256 factor = _mm256_set1_ps(rows.factor);
  const float* bias = rows.bias + rows.row_classes[y];
  const size_t* classes = rows.column_classes + x;
  const size_t outputs = rows.outputs;
  auto* dst = reinterpret_cast<typename Results::Value*>(rows.dst + y * rows.dst_step) + x * outputs;
  for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
    for_each_index<Lane::kPixels>([&](auto pixel) __attribute__((always_inline)) {
      const __m256i sum = Lane::sum_of(sums[u.value], pixel.value);
      Results::store(rows, dst, result(sum, factor, bias + *classes++));
      dst += outputs;
    });
  });
}

template <size_t kUnits>
[[gnu::always_inline]] inline void clear(__m256i (&sums)[kUnits]) {
  for_each_index<kUnits>([&](auto u) { sums[u.value] = _mm256_setzero_si256(); });
}

/// The sums of one row, `start` where the window of the first column lies.
template <class Lane, bool kMasked, size_t kUnits>
[[gnu::always_inline]] inline void count_row(const TileRows& rows, const unsigned char* start,
                                             __m256i (&sums)[kUnits]) {
  clear(sums);
  for (size_t j = 0; j < rows.product_count; ++j) {
    const PlaneProduct& product = rows.products[j];
    const unsigned char* corner = start + product.plane_offset;
    const uint32_t* signs = rows.signs + product.weight_offset;
    const uint32_t* masks = rows.masks + product.weight_offset;
    if (product.doubled)
      for (size_t u = 0; u < kUnits; ++u) sums[u] = _mm256_add_epi32(sums[u], sums[u]);
    for (size_t k = 0; k < rows.word_count;) {
      const size_t end = rows.word_count - k < kByteWords ? rows.word_count : k + kByteWords;
      __m256i counts[kUnits];
      clear(counts);
      do {
        const unsigned char* words = corner + rows.word_offsets[k];
        const __m256i sign = load_words(signs + k * kBlock);
        const __m256i mask = kMasked ? load_words(masks + k * kBlock) : sign;
        for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
          __m256i bits = _mm256_xor_si256(sign, broadcast_word(words + kUnitBytes * u.value));
          if (kMasked) bits = _mm256_and_si256(bits, mask);
          counts[u.value] = _mm256_add_epi8(counts[u.value], count_bytes(bits));
        });
      } while (++k < end);
      for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
        sums[u.value] = _mm256_add_epi32(sums[u.value], Lane::widen(counts[u.value]));
      });
    }
  }
}

template <class Lane, class Results, bool kMasked, size_t kUnits>
void tile(const TileRows& rows, size_t x) {
  const unsigned char* start = rows.corner + x * (kUnitBytes / Lane::kPixels);
  for (size_t y = 0; y < rows.rows; ++y, start += rows.corner_step) {
    __m256i sums[kUnits];
    count_row<Lane, kMasked>(rows, start, sums);
    if (rows.scales != nullptr || rows.vector_outputs < kOutputs || x + kUnits * Lane::kPixels > rows.width)
      write_some<Lane, Results>(rows, y, x, sums, kUnits);
    else
      write_all<Lane, Results>(rows, y, x, sums);
  }
}

template <class Lane, class Results>
struct TileOf {
  template <bool kMasked, size_t kUnits>
  static constexpr Tile kTile = tile<Lane, Results, kMasked, kUnits>;
};

template <class Lane, class Results>
constexpr Tiles kTiles = list_tiles<TileOf<Lane, Results>>(Lane::kPixels, kOutputs, AllUnits{});

template <class Results>
const Tiles& tiles_of(const BitPlan& plan) {
  return plan.layout.lane_bytes == 2 ? kTiles<PairLane, Results> : kTiles<WholeLane, Results>;
}

template <class Results>
void convolve(const BitPlan& plan, const unsigned char* planes, size_t images, size_t first_row,
              size_t last_row, typename Results::Value* dst) {
  run_images(plan, tiles_of<Results>(plan), planes, images, first_row, last_row,
             {reinterpret_cast<unsigned char*>(dst), sizeof *dst});
}

void convolve_to_codes(const BitPlan& plan, const BitThresholds& thresholds, const unsigned char* planes,
                       const unsigned char* added, unsigned char* dst) {
  run_images(plan, tiles_of<CodeResults>(plan), planes, 1, 0, plan.out_height,
             {dst, sizeof *dst, &thresholds, added});
}

// The sums are of bytes, as the convolution's are; here they wrap around.
double popcount_burn(size_t iterations) {
  constexpr size_t kChains = 8;
  const volatile int unknown = 0x5555;  // to the compiler, which else would compute the answer
  const __m256i x = _mm256_set1_epi32(unknown);
  __m256i chains[kChains];
#pragma GCC unroll 8
  for (size_t c = 0; c < kChains; ++c) chains[c] = _mm256_set1_epi32(static_cast<int>(c));
  for (size_t i = 0; i < iterations; ++i)
#pragma GCC unroll 8
    for (size_t c = 0; c < kChains; ++c)
      chains[c] = _mm256_add_epi8(chains[c], count_bytes(_mm256_xor_si256(chains[c], x)));
  __m256i sum = chains[0];
#pragma GCC unroll 8
  for (size_t c = 1; c < kChains; ++c) sum = _mm256_add_epi32(sum, chains[c]);
  const volatile __m256i kept = sum;  // a reader the compiler must serve
  static_cast<void>(kept);
  return static_cast<double>(iterations) * (kChains * 256.0);
}

}  // namespace

void fill_bit_convolution(Kernels& set) {
  set.bit_convolution = convolve<FloatResults>;
  set.bit_convolution_shorts = convolve<ShortResults>;
  set.bit_convolution_codes = convolve_to_codes;
  set.popcount_burn = popcount_burn;
}

}  // namespace qtrain::kernels::avx2
