#include "kernels/pairs.hpp"

#include "kernels/avx512/vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kOutputs = 8;  ///< lanes of diff_dst
constexpr size_t kTaps = 3;     ///< at most so many at once: 24 sums, 3 vectors and a pair in 32 registers

/// Lanes of both halves in turn: those of the left column, those of the right one.
__m512i in_turn(__m256i left, __m256i right) {
  alignas(64) static constexpr unsigned short kPlaces[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(left), right, 1);
  return _mm512_permutexvar_epi16(_mm512_load_si512(kPlaces), both);
}

/// A block's channels of one column; 0 outside the image.
__m256i column_at(const PairLayout& layout, const unsigned short* row, ptrdiff_t column, __mmask16 lanes) {
  const bool inside = column >= 0 && column < static_cast<ptrdiff_t>(layout.width);
  const size_t offset = inside ? static_cast<size_t>(column) * layout.channels : 0;
  return _mm256_maskz_loadu_epi16(inside ? lanes : __mmask16{0}, row + offset);
}

void pack_row(const PairLayout& layout, const unsigned short* row, __mmask16 lanes, unsigned* pairs) {
  const auto step = static_cast<ptrdiff_t>(layout.step);
  const __mmask16 stored = first_lanes(layout.lanes);
  for (size_t run = 0; run < layout.runs; ++run) {
    ptrdiff_t left = layout.first[run];
    for (size_t m = 0; m < layout.pairs; ++m, left += 2 * step, pairs += layout.lanes)
      _mm512_mask_storeu_epi32(
          pairs, stored,
          in_turn(column_at(layout, row, left, lanes), column_at(layout, row, left + step, lanes)));
  }
}

void pack_pairs(const PairLayout& layout, const unsigned short* x, size_t images, unsigned* pairs) {
  for (size_t n = 0; n < images; ++n)
    for (size_t block = 0; block < layout.blocks; ++block) {
      const size_t first = block * layout.lanes, left = layout.channels - first;
      const __mmask16 lanes = first_lanes(left < layout.lanes ? left : layout.lanes);
      for (size_t y = 0; y < layout.height; ++y, pairs += layout.row_words)
        pack_row(layout, x + (n * layout.height + y) * layout.width * layout.channels + first, lanes, pairs);
    }
}

__m512bh as_pairs(__m512i words) { return reinterpret_cast<__m512bh>(words); }

/// What a tile of sums runs over: a block of outputs, a block of channels, a row of taps.
struct Run {
  const unsigned *src, *diff_dst;  ///< of the first image, the first row that has the taps
  size_t images, rows;
  float* diff_weights;  ///< of the first output and tap
  size_t outputs;       ///< that there are
};

template <size_t kCount, class Access>
void tile(const PairPlan& plan, const Run& run, const size_t* taps, Access at) {
  const size_t channels = plan.src.channels, output = plan.kernel * plan.kernel * channels;
  const size_t src_row = plan.stride * plan.src.row_words, pairs = plan.diff_dst.pairs;
  __m512 sums[kOutputs][kCount];
#pragma GCC unroll 8
  for (size_t o = 0; o < kOutputs; ++o)
#pragma GCC unroll 3
    for (size_t k = 0; k < kCount; ++k)
      sums[o][k] =
          o < run.outputs ? at.load(run.diff_weights + o * output + k * channels) : _mm512_setzero_ps();
  for (size_t n = 0; n < run.images; ++n)
    for (size_t y = 0; y < run.rows; ++y) {
      const unsigned* x = run.src + n * plan.src.image_words + y * src_row;
      const unsigned* g = run.diff_dst + n * plan.diff_dst.image_words + y * plan.diff_dst.row_words;
      for (size_t j = 0; j < pairs; ++j, x += kWidth, g += kOutputs) {
        __m512bh columns[kCount];
#pragma GCC unroll 3
        for (size_t k = 0; k < kCount; ++k) columns[k] = as_pairs(_mm512_loadu_si512(x + taps[k]));
#pragma GCC unroll 8
        for (size_t o = 0; o < kOutputs; ++o) {
          const __m512bh gradient = as_pairs(_mm512_set1_epi32(static_cast<int>(g[o])));
#pragma GCC unroll 3
          for (size_t k = 0; k < kCount; ++k) sums[o][k] = _mm512_dpbf16_ps(sums[o][k], columns[k], gradient);
        }
      }
    }
#pragma GCC unroll 8
  for (size_t o = 0; o < kOutputs; ++o)
#pragma GCC unroll 3
    for (size_t k = 0; k < kCount; ++k)
      if (o < run.outputs) at.store(run.diff_weights + o * output + k * channels, sums[o][k]);
}

/// All taps of one row.
template <class Access>
void taps_of_row(const PairPlan& plan, Run run, Access at) {
  const size_t* taps = plan.taps;
  for (size_t left = plan.kernel; left > 0;) {
    const size_t count = left < kTaps ? left : kTaps;
    switch (count) {
      case 1:
        tile<1>(plan, run, taps, at);
        break;
      case 2:
        tile<2>(plan, run, taps, at);
        break;
      default:
        tile<kTaps>(plan, run, taps, at);
    }
    taps += count;
    left -= count;
    run.diff_weights += count * plan.src.channels;
  }
}

/// The output rows whose windows have the row of taps ky inside the image: [first, last).
struct Rows {
  size_t first, last;
  Rows(const PairPlan& plan, size_t ky) : first(0), last(plan.diff_dst.height) {
    while (first < last && first * plan.stride + ky < plan.padding) ++first;
    while (last > first && (last - 1) * plan.stride + ky >= plan.padding + plan.src.height) --last;
  }
};

void pair_products(const PairPlan& plan, const unsigned* src, const unsigned* diff_dst, size_t images,
                   float* diff_weights) {
  const PairLayout &s = plan.src, &d = plan.diff_dst;
  for (size_t ky = 0; ky < plan.kernel; ++ky) {
    const Rows rows(plan, ky);
    if (rows.first == rows.last) continue;
    const size_t top = rows.first * plan.stride + ky - plan.padding;
    for_each_column(s.channels, [&](auto at, size_t c) {
      for (size_t o = 0; o < d.channels; o += kOutputs) {
        const Run run{.src = src + c / kWidth * s.block_words + top * s.row_words,
                      .diff_dst = diff_dst + o / kOutputs * d.block_words + rows.first * d.row_words,
                      .images = images,
                      .rows = rows.last - rows.first,
                      .diff_weights = diff_weights + (o * plan.kernel + ky) * plan.kernel * s.channels + c,
                      .outputs = d.channels - o < kOutputs ? d.channels - o : kOutputs};
        taps_of_row(plan, run, at);
      }
    });
  }
}

}  // namespace

void fill_pairs(Kernels& set) {
  set.pack_pairs = pack_pairs;
  set.pair_products = pair_products;
}

}  // namespace qtrain::kernels::avx512
