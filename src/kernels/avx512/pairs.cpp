#include "kernels/pairs.hpp"

#include "kernels/avx512/vector.hpp"
#include "kernels/sets.hpp"
#include "kernels/vector_loops.hpp"

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kOutputs = 8;  ///< lanes of diff_dst
constexpr size_t kTaps = 3;     ///< at most so many at once: 24 sums, 3 vectors and a pair in 32 registers

/// 16 values as bfloat16 in the lower halves of words, those of masked lanes; the others are 0.
__m512i words_of(const unsigned short* x, __mmask16 lanes) {
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, x));
}
__m512i upper_of(__m512i integers) {
  return _mm512_srli_epi32(_mm512_castps_si512(_mm512_cvtepi32_ps(integers)), 16);
}
__m512i words_of(const unsigned char* x, __mmask16 lanes) {
  return upper_of(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, x)));
}
__m512i words_of(const signed char* x, __mmask16 lanes) {
  return upper_of(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, x)));
}

/// Up to 16 channels of an image's row.
template <class T>
struct Row {
  const T* first;  ///< of the left pixel
  size_t width, channels;
  __mmask16 lanes;

  /// The channels of one column; 0 outside the image.
  __m512i operator[](ptrdiff_t column) const {
    if (column < 0 || column >= static_cast<ptrdiff_t>(width)) return _mm512_setzero_si512();
    return words_of(first + static_cast<size_t>(column) * channels, lanes);
  }
};

/// Where the pairs of 16 channels go: to one block of 16 lanes, or to two of 8, the second only if it is
/// there.
struct Blocks {
  unsigned* pairs;
  size_t lanes, apart;
  bool second;

  void store(size_t pair, __m512i left, __m512i right) const {
    const __m512i words = _mm512_or_si512(left, _mm512_slli_epi32(right, 16));
    unsigned* at = pairs + pair * lanes;
    if (lanes == kWidth) return _mm512_storeu_si512(at, words);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm512_castsi512_si256(words));
    if (second)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + apart), _mm512_extracti64x4_epi64(words, 1));
  }
};

template <class T>
void pack_row(const PairLayout& layout, const Row<T>& row, const Blocks& to) {
  const auto step = static_cast<ptrdiff_t>(layout.step);
  for (size_t run = 0; run < layout.runs; ++run) {
    ptrdiff_t left = layout.first + static_cast<ptrdiff_t>(run);
    for (size_t m = 0; m < layout.pairs; ++m, left += 2 * step)
      to.store(run * layout.pairs + m, row[left], row[left + step]);
  }
}

/// The same where the columns of a pair are neighbours: each column is read once.
template <class T>
void pack_neighbours(const PairLayout& layout, const Row<T>& row, const Blocks& to) {
  ptrdiff_t column = layout.first;
  __m512i left = row[column];
  for (size_t m = 0; m < layout.pairs; ++m) {
    const __m512i right = row[++column], next = row[++column];
    to.store(m, left, right);
    if (layout.runs == 2) to.store(layout.pairs + m, right, next);
    left = next;
  }
}

template <class T>
void pack_pairs(const PairLayout& layout, const void* src, size_t images, unsigned* pairs) {
  const auto* x = static_cast<const T*>(src);
  const size_t pixels = layout.width * layout.channels;
  for (size_t n = 0; n < images; ++n, x += layout.height * pixels, pairs += layout.image_words)
    for (size_t c = 0; c < layout.channels; c += kWidth) {
      const size_t there = layout.channels - c;
      unsigned* to = pairs + c / layout.lanes * layout.block_words;
      for (size_t y = 0; y < layout.height; ++y, to += layout.row_words) {
        const Row<T> row{x + y * pixels + c, layout.width, layout.channels, first_lanes(there).lanes};
        const Blocks blocks{to, layout.lanes, layout.block_words, there > kOutputs};
        layout.step == 1 ? pack_neighbours(layout, row, blocks) : pack_row(layout, row, blocks);
      }
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
      sums[o][k] = o < run.outputs ? at.load(run.diff_weights + o * output + k * channels).values
                                   : _mm512_setzero_ps();
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
      if (o < run.outputs) at.store(run.diff_weights + o * output + k * channels, {sums[o][k]});
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
  set.pack_pairs = pack_pairs<unsigned short>;
  set.pack_unsigned_byte_pairs = pack_pairs<unsigned char>;
  set.pack_signed_byte_pairs = pack_pairs<signed char>;
  set.pair_products = pair_products;
}

}  // namespace qtrain::kernels::avx512
