#include "kernels/pairs.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/reference/pair_sum.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

unsigned as_bfloat16(unsigned short x) { return x; }
unsigned as_bfloat16(unsigned char x) { return std::bit_cast<unsigned>(static_cast<float>(x)) >> 16; }
unsigned as_bfloat16(signed char x) { return std::bit_cast<unsigned>(static_cast<float>(x)) >> 16; }

template <class T>
unsigned value_at(const PairLayout& layout, const T* row, std::ptrdiff_t column, std::size_t channel) {
  if (column < 0 || column >= static_cast<std::ptrdiff_t>(layout.width) || channel >= layout.channels)
    return 0;
  return as_bfloat16(row[static_cast<std::size_t>(column) * layout.channels + channel]);
}

template <class T>
void pack_pairs(const PairLayout& layout, const void* x, std::size_t images, unsigned* pairs) {
  const auto step = static_cast<std::ptrdiff_t>(layout.step);
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t block = 0; block < layout.blocks; ++block)
      for (std::size_t y = 0; y < layout.height; ++y) {
        const T* row = static_cast<const T*>(x) + (n * layout.height + y) * layout.width * layout.channels;
        for (std::size_t run = 0; run < layout.runs; ++run)
          for (std::size_t m = 0; m < layout.pairs; ++m) {
            const std::ptrdiff_t left =
                layout.first + static_cast<std::ptrdiff_t>(run) + 2 * step * static_cast<std::ptrdiff_t>(m);
            for (std::size_t l = 0; l < layout.lanes; ++l) {
              const std::size_t channel = block * layout.lanes + l;
              *pairs++ = value_at(layout, row, left, channel) | value_at(layout, row, left + step, channel)
                                                                    << 16;
            }
          }
      }
}

/// The products of one pair of columns in one tap: `sums` are of the first output.
void add_pair(const PairPlan& plan, const unsigned* src, const unsigned* diff_dst, std::size_t channels,
              float* sums) {
  const std::size_t apart = plan.kernel * plan.kernel * plan.src.channels;
  for (std::size_t o = 0; o < plan.diff_dst.channels; ++o, sums += apart) {
    const std::size_t lanes = plan.diff_dst.lanes;
    const unsigned g = diff_dst[o / lanes * plan.diff_dst.block_words + o % lanes];
    const float left = left_of(g), right = right_of(g);
    for (std::size_t l = 0; l < channels; ++l)
      sums[l] = plus(plus(sums[l], right_of(src[l]), right), left_of(src[l]), left);
  }
}

/// The products of one row of an image's block of channels with one row of diff_dst, in all taps of row ky.
void add_row(const PairPlan& plan, const unsigned* src, const unsigned* diff_dst, std::size_t channels,
             float* sums) {
  for (std::size_t kx = 0; kx < plan.kernel; ++kx, sums += plan.src.channels)
    for (std::size_t j = 0; j < plan.diff_dst.pairs; ++j)
      add_pair(plan, src + plan.taps[kx] + j * plan.src.lanes, diff_dst + j * plan.diff_dst.lanes, channels,
               sums);
}

void pair_products(const PairPlan& plan, const unsigned* src, const unsigned* diff_dst, std::size_t images,
                   float* diff_weights) {
  const PairLayout &s = plan.src, &d = plan.diff_dst;
  const std::size_t taps = plan.kernel * plan.kernel;
  for (std::size_t i = 0; i < d.channels * taps * s.channels; ++i) diff_weights[i] = flushed(diff_weights[i]);
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t block = 0; block < s.blocks; ++block)
      for (std::size_t y = 0; y < d.height; ++y)
        for (std::size_t ky = 0; ky < plan.kernel; ++ky) {
          const std::size_t row = y * plan.stride + ky, first = block * s.lanes;
          if (row < plan.padding || row - plan.padding >= s.height) continue;
          add_row(plan, src + n * s.image_words + block * s.block_words + (row - plan.padding) * s.row_words,
                  diff_dst + n * d.image_words + y * d.row_words, std::min(s.lanes, s.channels - first),
                  diff_weights + ky * plan.kernel * s.channels + first);
        }
}

}  // namespace

void fill_pairs(Kernels& set) {
  set.pack_pairs = pack_pairs<unsigned short>;
  set.pack_unsigned_byte_pairs = pack_pairs<unsigned char>;
  set.pack_signed_byte_pairs = pack_pairs<signed char>;
  set.pair_products = pair_products;
}

}  // namespace qtrain::kernels::reference
