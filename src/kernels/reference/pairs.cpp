#include "kernels/pairs.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

unsigned value_at(const PairLayout& layout, const unsigned short* row, std::ptrdiff_t column,
                  std::size_t channel) {
  if (column < 0 || column >= static_cast<std::ptrdiff_t>(layout.width) || channel >= layout.channels)
    return 0;
  return row[static_cast<std::size_t>(column) * layout.channels + channel];
}

void pack_pairs(const PairLayout& layout, const unsigned short* x, std::size_t images, unsigned* pairs) {
  const auto step = static_cast<std::ptrdiff_t>(layout.step);
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t block = 0; block < layout.blocks; ++block)
      for (std::size_t y = 0; y < layout.height; ++y) {
        const unsigned short* row = x + (n * layout.height + y) * layout.width * layout.channels;
        for (std::size_t run = 0; run < layout.runs; ++run)
          for (std::size_t m = 0; m < layout.pairs; ++m) {
            const std::ptrdiff_t left = layout.first[run] + 2 * step * static_cast<std::ptrdiff_t>(m);
            for (std::size_t l = 0; l < layout.lanes; ++l) {
              const std::size_t channel = block * layout.lanes + l;
              *pairs++ = value_at(layout, row, left, channel) | value_at(layout, row, left + step, channel)
                                                                    << 16;
            }
          }
      }
}

float flushed(float x) { return std::abs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
double left_of(unsigned pair) { return static_cast<double>(flushed(std::bit_cast<float>(pair << 16))); }
double right_of(unsigned pair) {
  return static_cast<double>(flushed(std::bit_cast<float>(pair & 0xFFFF0000)));
}

/// sum + product; the rounding to double before that to float changes nothing, for double has more than twice
/// the digits, and holds the product of two bfloat16 exactly.
float plus(float sum, double product) {
  return flushed(static_cast<float>(static_cast<double>(flushed(sum)) + product));
}

/// The products of one tap of one output and a block's channels.
void add_tap(const PairPlan& plan, const unsigned* src, const unsigned* diff_dst, std::size_t ky,
             std::size_t tap, std::size_t channels, float* sums) {
  for (std::size_t y = 0; y < plan.diff_dst.height; ++y) {
    const std::size_t row = y * plan.stride + ky;
    if (row < plan.padding || row - plan.padding >= plan.src.height) continue;
    const unsigned* x = src + (row - plan.padding) * plan.src.row_words + tap;
    const unsigned* g = diff_dst + y * plan.diff_dst.row_words;
    for (std::size_t j = 0; j < plan.diff_dst.pairs; ++j, x += plan.src.lanes, g += plan.diff_dst.lanes)
      for (std::size_t l = 0; l < channels; ++l)
        sums[l] = plus(plus(sums[l], right_of(x[l]) * right_of(*g)), left_of(x[l]) * left_of(*g));
  }
}

void pair_products(const PairPlan& plan, const unsigned* src, const unsigned* diff_dst, std::size_t images,
                   float* diff_weights) {
  const PairLayout &s = plan.src, &d = plan.diff_dst;
  for (std::size_t o = 0; o < d.channels; ++o)
    for (std::size_t ky = 0; ky < plan.kernel; ++ky)
      for (std::size_t kx = 0; kx < plan.kernel; ++kx)
        for (std::size_t block = 0; block < s.blocks; ++block) {
          const std::size_t first = block * s.lanes;
          float* sums = diff_weights + ((o * plan.kernel + ky) * plan.kernel + kx) * s.channels + first;
          for (std::size_t n = 0; n < images; ++n)
            add_tap(plan, src + n * s.image_words + block * s.block_words,
                    diff_dst + n * d.image_words + o / d.lanes * d.block_words + o % d.lanes, ky,
                    plan.taps[kx], std::min(s.lanes, s.channels - first), sums);
        }
}

}  // namespace

void fill_pairs(Kernels& set) {
  set.pack_pairs = pack_pairs;
  set.pair_products = pair_products;
}

}  // namespace qtrain::kernels::reference
