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

/// Writes the results of the sums from column x on, wherever the row ends and however many outputs there are.
template <class Lane>
[[gnu::noinline]] void write_some(const TileRow& row, size_t x, const __m256i* sums, size_t units) {
  const __m256i lanes = first_lanes(row.vector_outputs);
  const __m256 factor = _mm256_set1_ps(row.factor);
  for (size_t i = 0; i < units * Lane::kPixels && x < row.width; ++i, ++x) {
    const __m256i sum = Lane::sum_of(sums[i / Lane::kPixels], i % Lane::kPixels);
    __m256 r = result(sum, factor, row.bias + row.column_classes[x]);
    float* dst = row.dst + x * row.outputs;
    if (row.scales != nullptr) r = _mm256_mul_ps(_mm256_loadu_ps(row.scales), r);
    if (row.add) r = _mm256_add_ps(_mm256_maskload_ps(dst, lanes), r);
    _mm256_maskstore_ps(dst, lanes, r);
  }
}

/// The same for whole units of 8 outputs without scales.
template <class Lane, size_t kUnits>
[[gnu::always_inline]] inline void write_all(const TileRow& row, size_t x, const __m256i (&sums)[kUnits]) {
  const __m256 factor = _mm256_set1_ps(row.factor);
  const float* bias = row.bias;
  const size_t* classes = row.column_classes + x;
  const size_t outputs = row.outputs;
  float* dst = row.dst + x * outputs;
  for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
    for_each_index<Lane::kPixels>([&](auto pixel) __attribute__((always_inline)) {
      const __m256i sum = Lane::sum_of(sums[u.value], pixel.value);
      _mm256_storeu_ps(dst, result(sum, factor, bias + *classes++));
      dst += outputs;
    });
  });
}

template <size_t kUnits>
[[gnu::always_inline]] inline void clear(__m256i (&sums)[kUnits]) {
  for_each_index<kUnits>([&](auto u) { sums[u.value] = _mm256_setzero_si256(); });
}

template <class Lane, bool kMasked, size_t kUnits>
void tile(const TileRow& row, size_t x) {
  const unsigned char* start = row.corner + x * (kUnitBytes / Lane::kPixels);
  __m256i sums[kUnits];
  clear(sums);
  for (size_t j = 0; j < row.product_count; ++j) {
    const PlaneProduct& product = row.products[j];
    const unsigned char* corner = start + product.plane_offset;
    const uint32_t* signs = row.signs + product.weight_offset;
    const uint32_t* masks = row.masks + product.weight_offset;
    if (product.doubled)
      for (size_t u = 0; u < kUnits; ++u) sums[u] = _mm256_add_epi32(sums[u], sums[u]);
    for (size_t k = 0; k < row.word_count;) {
      const size_t end = row.word_count - k < kByteWords ? row.word_count : k + kByteWords;
      __m256i counts[kUnits];
      clear(counts);
      do {
        const unsigned char* words = corner + row.word_offsets[k];
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
  if (row.scales != nullptr || row.vector_outputs < kOutputs || x + kUnits * Lane::kPixels > row.width)
    write_some<Lane>(row, x, sums, kUnits);
  else
    write_all<Lane>(row, x, sums);
}

template <class Lane>
constexpr Tiles kTiles = {
    .pixels = Lane::kPixels,
    .outputs = kOutputs,
    .binary = {tile<Lane, false, 1>, tile<Lane, false, 2>, tile<Lane, false, 3>, tile<Lane, false, 4>,
               tile<Lane, false, 5>, tile<Lane, false, 6>, tile<Lane, false, 7>, tile<Lane, false, 8>},
    .masked = {tile<Lane, true, 1>, tile<Lane, true, 2>, tile<Lane, true, 3>, tile<Lane, true, 4>,
               tile<Lane, true, 5>, tile<Lane, true, 6>, tile<Lane, true, 7>, tile<Lane, true, 8>}};

void bit_convolution(const BitPlan& plan, const unsigned char* planes, size_t images, size_t first_row,
                     size_t last_row, float* dst) {
  const Tiles& tiles = plan.layout.lane_bytes == 2 ? kTiles<PairLane> : kTiles<WholeLane>;
  run_images(plan, tiles, planes, images, first_row, last_row, dst);
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
  set.bit_convolution = bit_convolution;
  set.popcount_burn = popcount_burn;
}

}  // namespace qtrain::kernels::avx2
