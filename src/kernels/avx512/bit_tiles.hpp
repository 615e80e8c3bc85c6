#pragma once
#include "kernels/avx512/bit_results.hpp"
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

/// The sums of one row, `start` where the window of the first column lies.
template <class Lane, bool kMasked, size_t kUnits>
[[gnu::always_inline]] inline void count_row(const TileRows& rows, const unsigned char* start,
                                             __m512i (&sums)[kUnits]) {
  const size_t* offsets = rows.word_offsets;
  const size_t word_count = rows.word_count;
  for_each_index<kUnits>([&](auto u)  // for the compiler alone, which does not know of a first product
                         __attribute__((always_inline)) { sums[u.value] = _mm512_setzero_si512(); });
  for (size_t j = 0; j < rows.product_count; ++j) {
    const PlaneProduct& product = rows.products[j];
    const unsigned char* corner = start + product.plane_offset;
    const uint32_t* signs = rows.signs + product.weight_offset;
    const uint32_t* masks = rows.masks + product.weight_offset;
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
}

/// What enters the results besides the sums, for each two of a tile's pixels: `row` has the biases of its
/// classes of columns. They stay in registers, for all rows of one class.
template <class Results, size_t kPairs>
[[gnu::always_inline]] inline void set_biases(const Results& results, const float* row, const size_t* classes,
                                              size_t pixels, typename Results::Bias (&biases)[kPairs]) {
  for_each_index<kPairs>([&](auto i) __attribute__((always_inline)) {
    constexpr size_t kFirst = 2 * i.value;
    biases[i.value] = results.bias(row + classes[kFirst < pixels ? kFirst : pixels - 1],
                                   row + classes[kFirst + 1 < pixels ? kFirst + 1 : pixels - 1]);
  });
}

/// Writes all results, of 16 outputs without scales.
template <class Lane, class Results, size_t kUnits, size_t kPairs>
[[gnu::always_inline]] inline void write_all(const Results& results,
                                             const typename Results::Bias (&biases)[kPairs],
                                             const __m512i (&sums)[kUnits], typename Results::Value* dst,
                                             size_t outputs) {
  for_each_index<kPairs>([&](auto i) __attribute__((always_inline)) {
    constexpr size_t kFirst = 2 * i.value / Lane::kPixels, kSecond = (2 * i.value + 1) / Lane::kPixels;
    constexpr bool kBoth = kSecond < kUnits;
    results.template store<kBoth>(
        dst, outputs, results.pair(sums[kFirst], sums[kBoth ? kSecond : kFirst], biases[i.value]));
    dst += 2 * outputs;
  });
}

/// Writes the results of the first `pixels`, however many outputs there are.
template <class Lane, class Results>
[[gnu::noinline]] void write_some(Results results, const typename Results::Bias* biases, const __m512i* sums,
                                  size_t pixels, typename Results::Value* dst, size_t outputs) {
  for (size_t x = 0; x < pixels; x += 2, dst += 2 * outputs) {
    const bool both = x + 1 < pixels;
    const __m512i second = sums[(both ? x + 1 : x) / Lane::kPixels];
    results.store_some(dst, outputs, results.pair(sums[x / Lane::kPixels], second, biases[x / 2]), both);
  }
}

/// kUnits units of pixels from column x on; if not kWhole, wherever the row ends and however many outputs
/// there are.
template <class Lane, class Results, bool kMasked, size_t kUnits, bool kWhole>
[[gnu::noinline]] void run_tile(const TileRows& rows, size_t x) {
  using Value = typename Results::Value;
  constexpr size_t kPixels = kUnits * Lane::kPixels;
  const size_t left = rows.width - x, pixels = kWhole || left > kPixels ? kPixels : left;
  const Results results(rows);
  typename Results::Bias biases[(kPixels + 1) / 2] = {};
  const float* bias = nullptr;
  const unsigned char* start = rows.corner + x * (kUnitBytes / Lane::kPixels);
  unsigned char* dst = rows.dst + x * rows.outputs * sizeof(Value);
  for (size_t y = 0; y < rows.rows; ++y) {
    if (bias != rows.bias + rows.row_classes[y]) {
      bias = rows.bias + rows.row_classes[y];
      set_biases(results, bias, rows.column_classes + x, pixels, biases);
    }
    __m512i sums[kUnits];
    count_row<Lane, kMasked>(rows, start, sums);
    if (Results::kDoubled && rows.factor == 2.0F)
      for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) {
        sums[u.value] = _mm512_add_epi16(sums[u.value], sums[u.value]);
      });
    if constexpr (kWhole) {
      write_all<Lane>(results, biases, sums, reinterpret_cast<Value*>(dst), rows.outputs);
    } else {
      __m512i kept[kUnits];
      for_each_index<kUnits>([&](auto u) __attribute__((always_inline)) { kept[u.value] = sums[u.value]; });
      write_some<Lane, Results>(results, biases, kept, pixels, reinterpret_cast<Value*>(dst), rows.outputs);
    }
    start += rows.corner_step;
    dst += rows.dst_step;
  }
}

template <class Lane, class Results, bool kMasked, size_t kUnits>
void tile(const TileRows& rows, size_t x) {
  const bool whole =
      rows.scales == nullptr && rows.vector_outputs == kWidth && x + kUnits * Lane::kPixels <= rows.width;
  (whole ? run_tile<Lane, Results, kMasked, kUnits, true>
         : run_tile<Lane, Results, kMasked, kUnits, false>)(rows, x);
}

template <class Lane, class Results>
struct TileOf {
  template <bool kMasked, size_t kUnits>
  static constexpr Tile kTile = tile<Lane, Results, kMasked, kUnits>;
};

template <class Lane, class Results>
constexpr Tiles kTiles = list_tiles<TileOf<Lane, Results>>(Lane::kPixels, kWidth, AllUnits{});

template <class Counts, template <class> class Results>
const Tiles& tiles_of(const BitPlan& plan) {
  using Pair = PairLane<Counts>;
  using Whole = WholeLane<Counts>;
  return plan.layout.lane_bytes == 2 ? kTiles<Pair, Results<Pair>> : kTiles<Whole, Results<Whole>>;
}

template <class Counts, template <class> class Results, class Value>
void convolve(const BitPlan& plan, const unsigned char* planes, size_t images, size_t first_row,
              size_t last_row, Value* dst) {
  run_images(plan, tiles_of<Counts, Results>(plan), planes, images, first_row, last_row,
             {reinterpret_cast<unsigned char*>(dst), sizeof *dst});
}

template <class Counts>
void convolve_to_codes(const BitPlan& plan, const BitThresholds& thresholds, const unsigned char* planes,
                       const unsigned char* added, unsigned char* dst) {
  const Tiles& tiles = added == nullptr ? tiles_of<Counts, Codes>(plan) : tiles_of<Counts, SumCodes>(plan);
  run_images(plan, tiles, planes, 1, 0, plan.out_height, {dst, sizeof *dst, &thresholds, added});
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
