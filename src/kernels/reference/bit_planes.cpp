#include "kernels/bit_planes.hpp"

#include <bit>
#include <cstring>

#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

/// Sets the bits of every pixel that a window reaches; index(i) is the index of code i.
template <class Index>
void pack(const PlaneLayout& l, std::size_t images, unsigned char* planes, const Index& index) {
  std::memset(planes, 0, images * l.image_bytes);
  std::size_t i = 0;
  for (std::size_t image = 0; image < images; ++image, planes += l.image_bytes)
    for (std::size_t y = l.padding; y < l.height + l.padding; ++y)
      for (std::size_t x = l.padding; x < l.width + l.padding; ++x)
        for (std::size_t channel = 0; channel < l.channels; ++channel, ++i) {
          const std::size_t phase = x % l.stride, column = x / l.stride, byte = channel / 8;
          if (y >= l.rows || y % l.stride >= l.kernel || column >= l.columns || phase >= l.phases) continue;
          const std::size_t word = (phase * l.words + byte / l.lane_bytes) * l.columns + column;
          unsigned char* at = planes + y * l.row_bytes + word * l.lane_bytes + byte % l.lane_bytes;
          for (std::size_t p = 0; p < l.planes; ++p)
            at[p * l.plane_bytes] |= static_cast<unsigned char>((index(i) >> p & 1U) << channel % 8);
        }
}

void pack_bytes(const PlaneLayout& l, const unsigned char* codes, std::size_t images, unsigned char* planes) {
  pack(l, images, planes, [&](std::size_t i) { return ((codes[i] - l.lowest) & 0xFF) >> l.step_bits; });
}

void pack_floats(const PlaneLayout& l, const float* codes, std::size_t images, unsigned char* planes) {
  pack(l, images, planes,
       [&](std::size_t i) { return ((static_cast<int>(codes[i]) - l.lowest) & 0xFF) >> l.step_bits; });
}

/// The word at `at`; of a pair of 16 bits the first.
std::uint32_t load_word(const unsigned char* at, std::size_t bytes) {
  std::uint32_t word = 0;
  std::memcpy(&word, at, bytes);
  return word;
}

/// acc of a term; `corner` is where the window's first word lies in plane 0, `block` the output's first
/// weight.
std::uint32_t count(const BitPlan& plan, const PlaneTerm& term, const unsigned char* corner,
                    std::size_t block) {
  const std::size_t bytes = plan.layout.lane_bytes;
  const std::uint32_t lane = bytes == 2 ? 0xFFFF : 0xFFFFFFFF;
  std::uint32_t acc = 0;
  for (std::size_t j = 0; j < term.product_count; ++j) {
    const PlaneProduct& product = term.products[j];
    if (product.doubled) acc *= 2;
    for (std::size_t k = 0; k < plan.word_count; ++k) {
      const std::size_t weight = block + product.weight_offset + k * 16;
      const std::uint32_t x = load_word(corner + product.plane_offset + plan.word_offsets[k], bytes);
      const std::uint32_t mask = plan.masks == nullptr ? lane : plan.masks[weight] & lane;
      acc += static_cast<std::uint32_t>(std::popcount((x ^ plan.signs[weight]) & mask));
    }
  }
  return acc;
}

/// One output: of the window at `corner`, in row y and column x.
float output(const BitPlan& plan, const unsigned char* corner, std::size_t y, std::size_t x, std::size_t o) {
  float sum = 0;
  for (std::size_t t = 0; t < plan.term_count; ++t) {
    const PlaneTerm& term = plan.terms[t];
    const float acc = static_cast<float>(count(plan, term, corner, o / 16 * plan.block_size + o % 16));
    const float r = plan.factor * acc + term.bias[plan.row_classes[y] + plan.column_classes[x] + o];
    const float scaled = term.scales == nullptr ? r : term.scales[o] * r;
    sum = t == 0 ? scaled : sum + scaled;
  }
  return sum;
}

template <class Value>
void convolve(const BitPlan& plan, const unsigned char* planes, std::size_t images, std::size_t first_row,
              std::size_t last_row, Value* dst) {
  const PlaneLayout& l = plan.layout;
  const std::size_t row_size = plan.out_width * plan.outputs;
  for (std::size_t image = 0; image < images; ++image)
    for (std::size_t y = first_row; y < last_row; ++y) {
      const unsigned char* row = planes + image * l.image_bytes + y * l.stride * l.row_bytes;
      Value* to = dst + (image * plan.out_height + y - first_row) * row_size;
      for (std::size_t x = 0; x < plan.out_width; ++x)
        for (std::size_t o = 0; o < plan.outputs; ++o)
          *to++ = static_cast<Value>(output(plan, row + x * l.lane_bytes, y, x, o));
    }
}

void bit_convolution(const BitPlan& plan, const unsigned char* planes, std::size_t images,
                     std::size_t first_row, std::size_t last_row, float* dst) {
  convolve(plan, planes, images, first_row, last_row, dst);
}

void bit_convolution_shorts(const BitPlan& plan, const unsigned char* planes, std::size_t images,
                            std::size_t first_row, std::size_t last_row, short* dst) {
  convolve(plan, planes, images, first_row, last_row, dst);
}

void bit_convolution_codes(const BitPlan& plan, const BitThresholds& t, const unsigned char* planes,
                           const unsigned char* added, unsigned char* dst) {
  for (std::size_t y = 0; y < plan.out_height; ++y)
    for (std::size_t x = 0; x < plan.out_width; ++x)
      for (std::size_t o = 0; o < plan.outputs; ++o) {
        const unsigned char* corner = planes + y * plan.layout.stride * plan.layout.row_bytes;
        const float r = output(plan, corner + x * plan.layout.lane_bytes, y, x, o);
        const std::size_t own = added != nullptr && *added++ != 0 ? t.padded_outputs : 0;
        const bool above = static_cast<std::int32_t>(r) >= t.thresholds[own + o];
        const bool flipped = (t.flipped[(own + o) / 16] >> o % 16 & 1) != 0;
        *dst++ = above != flipped ? t.high : t.low;
      }
}

double popcount_burn(std::size_t iterations) {
  const volatile std::uint64_t unknown = 0x5555;
  const std::uint64_t x = unknown;
  std::uint64_t chains[4] = {0, 1, 2, 3};
  for (std::size_t i = 0; i < iterations; ++i)
    for (std::uint64_t& chain : chains) chain += static_cast<std::uint64_t>(std::popcount(chain ^ x));
  volatile std::uint64_t kept = chains[0] + chains[1] + chains[2] + chains[3];
  static_cast<void>(kept);
  return static_cast<double>(iterations) * (4.0 * 64);
}

}  // namespace

void fill_bit_planes(Kernels& set) {
  set.pack_bytes = pack_bytes;
  set.pack_floats = pack_floats;
  set.bit_convolution = bit_convolution;
  set.bit_convolution_shorts = bit_convolution_shorts;
  set.bit_convolution_codes = bit_convolution_codes;
  set.popcount_burn = popcount_burn;
}

}  // namespace qtrain::kernels::reference
