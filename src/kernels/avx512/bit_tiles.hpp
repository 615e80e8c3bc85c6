#pragma once
#include "kernels/avx512/vectors.hpp"
#include "kernels/bit_planes.hpp"
#include "kernels/sets.hpp"

// The bit-plane convolution over a Counts, which has the popcounts of 16- and 32-bit lanes; each source that
// includes this supplies its own.
//
// A tile is one vector of 16 outputs by up to 8 lanes' worth of pixels in a row. A lane of 32 bits is one
// output and one pixel, or, with words of 16 bits, one output and two neighbouring pixels, one in either
// half: their words are neighbours in memory, so one 32-bit broadcast serves both. Every accumulator stays in
// its register; a word of activations is broadcast by the instruction that combines it with the weights. No
// sum leaves its lane: 16-bit ones are chosen only where they cannot overflow.

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kMostUnits = 8;  ///< lanes' worth of pixels in a tile
constexpr size_t kBlock = 16;     ///< outputs

/// Row y of one image and one block of outputs.
struct TileRow {
  const BitPlan& plan;
  const PlaneTerm& term;
  const unsigned char* corner;  ///< of the window of x = 0
  const uint32_t* signs;
  const uint32_t* masks;
  const float* bias;    ///< of the row's class
  const float* scales;  ///< null: 1
  float* dst;           ///< of x = 0
  size_t outputs;       ///< of the block, up to 16
  bool add;
};

inline __m512i broadcast_word(const unsigned char* at) {
  int word;
  __builtin_memcpy(&word, at, sizeof word);
  return _mm512_set1_epi32(word);
}

/// Lane sums at columns x, x + 1, ... of a row, finished and written.
template <class Lane>
inline void finish(const TileRow& row, size_t x, __m512i acc) {
  const size_t pixels = Lane::kPixels == 1 || x + 1 == row.plan.out_width ? 1 : 2;
  for (size_t pixel = 0; pixel < pixels; ++pixel, ++x) {
    __m512i sum = acc;
    if (Lane::kPixels == 2)
      sum = pixel == 0 ? _mm512_and_si512(acc, _mm512_set1_epi32(0xFFFF)) : _mm512_srli_epi32(acc, 16);
    const float* bias = row.bias + row.plan.column_classes[x];
    // The result is an integer that float holds, so the one rounding of the fused operation changes nothing.
    __m512 r =
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(row.plan.factor), _mm512_loadu_ps(bias));
    float* dst = row.dst + x * row.plan.outputs;
    const __mmask16 lanes = first_lanes(row.outputs);
    if (row.scales != nullptr) {
      r = _mm512_mul_ps(_mm512_loadu_ps(row.scales), r);
      if (row.add) r = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, dst), r);
    }
    if (row.outputs == kBlock)
      _mm512_storeu_ps(dst, r);
    else
      _mm512_mask_storeu_ps(dst, lanes, r);
  }
}

/// kUnits accumulators from column x on.
template <class Lane, bool kMasked, size_t kUnits>
void tile(const TileRow& row, size_t x) {
  const size_t* offsets = row.plan.word_offsets;
  const size_t word_count = row.plan.word_count;
  __m512i acc[kUnits];
#pragma GCC unroll 8
  for (size_t u = 0; u < kUnits; ++u) acc[u] = _mm512_setzero_si512();
  const unsigned char* start = row.corner + x * (4 / Lane::kPixels);
  for (size_t j = 0; j < row.term.product_count; ++j) {
    const PlaneProduct& product = row.term.products[j];
    const unsigned char* corner = start + product.plane_offset;
    const uint32_t* signs = row.signs + product.weight_offset;
    const uint32_t* masks = row.masks + product.weight_offset;
    if (product.doubled) {
#pragma GCC unroll 8
      for (size_t u = 0; u < kUnits; ++u) acc[u] = _mm512_add_epi32(acc[u], acc[u]);
    }
    for (size_t k = 0; k < word_count; ++k) {
      const unsigned char* words = corner + offsets[k];
      const __m512i sign = _mm512_loadu_si512(signs + k * kBlock);
      const __m512i mask = kMasked ? _mm512_loadu_si512(masks + k * kBlock) : _mm512_setzero_si512();
#pragma GCC unroll 8
      for (size_t u = 0; u < kUnits; ++u) {
        const __m512i word = broadcast_word(words + 4 * u);
        const __m512i differ = kMasked ? _mm512_ternarylogic_epi32(word, sign, mask, 0x28)  // (x ^ s) & m
                                       : _mm512_xor_si512(sign, word);
        acc[u] = _mm512_add_epi32(acc[u], Lane::count(differ));
      }
    }
  }
#pragma GCC unroll 8
  for (size_t u = 0; u < kUnits; ++u) finish<Lane>(row, x + u * Lane::kPixels, acc[u]);
}

using Tile = void (*)(const TileRow& row, size_t x);

template <class Lane, bool kMasked>
constexpr Tile kTiles[kMostUnits] = {tile<Lane, kMasked, 1>, tile<Lane, kMasked, 2>, tile<Lane, kMasked, 3>,
                                     tile<Lane, kMasked, 4>, tile<Lane, kMasked, 5>, tile<Lane, kMasked, 6>,
                                     tile<Lane, kMasked, 7>, tile<Lane, kMasked, 8>};

/// Cuts the row into tiles of about the same size.
template <class Lane>
void run_row(const TileRow& row, const Tile* tiles) {
  const size_t units = (row.plan.out_width + Lane::kPixels - 1) / Lane::kPixels;
  size_t left = (units + kMostUnits - 1) / kMostUnits;
  for (size_t done = 0; left > 0; --left) {
    const size_t own = (units - done + left - 1) / left;
    tiles[own - 1](row, done * Lane::kPixels);
    done += own;
  }
}

template <class Lane>
void run(const BitPlan& plan, const unsigned char* planes, size_t images, size_t first_row, size_t last_row,
         float* dst) {
  const Tile* tiles = plan.masks == nullptr ? kTiles<Lane, false> : kTiles<Lane, true>;
  const PlaneLayout& l = plan.layout;
  for (size_t image = 0; image < images; ++image)
    for (size_t o = 0; o < plan.outputs; o += kBlock)
      for (size_t y = first_row; y < last_row; ++y)
        for (size_t t = 0; t < plan.term_count; ++t) {
          const PlaneTerm& term = plan.terms[t];
          const size_t weights = o / kBlock * plan.block_size;
          run_row<Lane>({.plan = plan,
                         .term = term,
                         .corner = planes + image * l.image_bytes + y * l.stride * l.row_bytes,
                         .signs = plan.signs + weights,
                         .masks = plan.masks == nullptr ? plan.signs : plan.masks + weights,
                         .bias = term.bias + plan.row_classes[y] + o,
                         .scales = term.scales == nullptr ? nullptr : term.scales + o,
                         .dst = dst + (image * plan.out_height + y) * plan.out_width * plan.outputs + o,
                         .outputs = plan.outputs - o < kBlock ? plan.outputs - o : kBlock,
                         .add = t > 0},
                        tiles);
        }
}

/// A lane of 32 bits and of two words of 16.
template <class Counts>
struct WholeLane {
  static constexpr size_t kPixels = 1;
  static __m512i count(__m512i bits) { return Counts::of_words(bits); }
};
template <class Counts>
struct PairLane {
  static constexpr size_t kPixels = 2;
  static __m512i count(__m512i bits) { return Counts::of_halves(bits); }
};

template <class Counts>
void bit_convolution(const BitPlan& plan, const unsigned char* planes, size_t images, size_t first_row,
                     size_t last_row, float* dst) {
  const auto run_lanes = plan.layout.lane_bytes == 2 ? run<PairLane<Counts>> : run<WholeLane<Counts>>;
  run_lanes(plan, planes, images, first_row, last_row, dst);
}

template <class Counts>
double popcount_burn(size_t iterations) {
  constexpr size_t kChains = 16;
  const volatile int unknown = 0x5555;  // to the compiler, which else would compute the answer
  const __m512i x = _mm512_set1_epi32(unknown);
  __m512i chains[kChains];
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) chains[c] = _mm512_set1_epi32(static_cast<int>(c));
  for (size_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c)
      chains[c] = _mm512_add_epi32(chains[c], Counts::of_words(_mm512_xor_si512(chains[c], x)));
  }
  __m512i sum = chains[0];
#pragma GCC unroll 16
  for (size_t c = 1; c < kChains; ++c) sum = _mm512_add_epi32(sum, chains[c]);
  volatile int kept = _mm512_reduce_add_epi32(sum);
  static_cast<void>(kept);
  return static_cast<double>(iterations) * (kChains * 512.0);
}

template <class Counts>
void fill(Kernels& set) {
  set.bit_convolution = bit_convolution<Counts>;
  set.popcount_burn = popcount_burn<Counts>;
}

}  // namespace
}  // namespace qtrain::kernels::avx512
