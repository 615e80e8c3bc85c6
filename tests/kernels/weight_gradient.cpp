#include "kernels/weight_gradient.hpp"

#include <doctest/doctest.h>

#include <bit>

#include "base/aligned.hpp"
#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

using Geometry = ConvolutionGeometry;

/// All kernels from 1 to 7, strides to 3, paddings, odd widths, channels and outputs around 16 and 8 lanes.
std::vector<Geometry> geometries() {
  std::vector<Geometry> all;
  for (const std::size_t kernel : {1u, 2u, 3u, 4u, 5u, 7u})
    for (const std::size_t stride : {1u, 2u, 3u})
      for (const std::size_t padding : {std::size_t{0}, kernel / 2})
        for (const std::size_t end_padding : {0u, 1u})
          all.push_back({.height = 7 + kernel % 2,
                         .width = 7 + stride,
                         .channels = 5,
                         .outputs = 9,
                         .kernel = kernel,
                         .stride = stride,
                         .padding = padding,
                         .end_padding = end_padding});
  for (const std::size_t channels : {1u, 3u, 15u, 16u, 17u, 32u, 40u})
    for (const std::size_t outputs : {1u, 7u, 8u, 9u, 24u})
      all.push_back({.height = 5,
                     .width = 6,
                     .channels = channels,
                     .outputs = outputs,
                     .kernel = 3,
                     .stride = 1,
                     .padding = 1});
  // So large that run() takes the images one at a time.
  all.push_back(
      {.height = 40, .width = 41, .channels = 48, .outputs = 8, .kernel = 3, .stride = 1, .padding = 1});
  return all;
}

Halves halves(const std::vector<float>& x) { return to_bfloat16(reference_kernels(), x); }

std::size_t src_size(const Geometry& g) { return g.height * g.width * g.channels; }
std::size_t dst_size(const Geometry& g) { return g.out_height() * g.out_width() * g.outputs; }

template <class T>
std::vector<float> gradient_from(SrcValues values, const Geometry& g, const Kernels& set,
                                 const std::vector<T>& src, const Halves& diff_dst, std::size_t images) {
  const WeightGradient subject(g, values, set);
  Guarded<float> diff_weights(g.outputs * g.kernel * g.kernel * g.channels);
  AlignedBuffer<unsigned> scratch(subject.scratch_bytes() / sizeof(unsigned));
  const std::vector<T> x = after_one(src);
  const Halves d = after_one(diff_dst);
  subject.run(x.data() + 1, d.data() + 1, images, scratch.data(), diff_weights.data());
  CHECK(diff_weights.intact());
  return diff_weights.values();
}

std::vector<float> gradient(const Geometry& g, const Kernels& set, const Halves& src, const Halves& diff_dst,
                            std::size_t images) {
  return gradient_from(SrcValues::as_diff_dst, g, set, src, diff_dst, images);
}

/// Every integer of a byte of this sort, in a random order.
template <class T>
std::vector<T> bytes(std::size_t size) {
  RandomStream random(5, Purpose::test, 0);
  std::vector<T> values(size);
  for (T& value : values) value = static_cast<T>(random.below(256));
  return values;
}

/// The gradient from bytes has the bits of that from the same integers in bfloat16, made by the reference.
template <class T>
void check_bytes(SrcValues values, const Geometry& g) {
  const std::vector<T> src = bytes<T>(3 * src_size(g));
  const Halves diff_dst = halves(plain_values(3 * dst_size(g), 6));
  const Halves same = halves({src.begin(), src.end()});
  const auto expected = gradient(g, reference_kernels(), same, diff_dst, 3);
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    CHECK(same_bits(gradient_from(values, g, *set, src, diff_dst, 3), expected));
  }
}

/// The sum itself, in double.
std::vector<float> direct(const Geometry& g, const std::vector<float>& src,
                          const std::vector<float>& diff_dst, std::size_t images) {
  std::vector<double> sums(g.outputs * g.kernel * g.kernel * g.channels);
  const std::size_t height = g.out_height(), width = g.out_width();
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x)
        for (std::size_t ky = 0; ky < g.kernel; ++ky)
          for (std::size_t kx = 0; kx < g.kernel; ++kx) {
            const std::size_t row = y * g.stride + ky, column = x * g.stride + kx;
            if (row < g.padding || row >= g.padding + g.height || column < g.padding ||
                column >= g.padding + g.width)
              continue;
            const float* pixel =
                &src[((n * g.height + row - g.padding) * g.width + column - g.padding) * g.channels];
            for (std::size_t o = 0; o < g.outputs; ++o)
              for (std::size_t c = 0; c < g.channels; ++c)
                sums[((o * g.kernel + ky) * g.kernel + kx) * g.channels + c] +=
                    static_cast<double>(pixel[c]) *
                    static_cast<double>(diff_dst[((n * height + y) * width + x) * g.outputs + o]);
          }
  return {sums.begin(), sums.end()};
}

}  // namespace

TEST_CASE("weight gradient: exact sums of integers, every shape, in every set") {
  for (const Geometry& g : geometries()) {
    CAPTURE(g.kernel);
    CAPTURE(g.stride);
    CAPTURE(g.channels);
    CAPTURE(g.outputs);
    for (const std::size_t images : {1u, 3u}) {
      const auto src = integer_values(images * src_size(g), 1),
                 diff_dst = integer_values(images * dst_size(g), 2);
      const auto expected = direct(g, src, diff_dst, images);
      for (const Kernels* set : available()) {
        CAPTURE(set->isa);
        CHECK(gradient(g, *set, halves(src), halves(diff_dst), images) == expected);
      }
    }
  }
}

TEST_CASE(
    "weight gradient: every set has the reference's bits, rounding, denormals and infinities included") {
  for (const Geometry& g : geometries()) {
    for (const bool special : {false, true}) {
      const auto values = special ? special_values : plain_values;
      const Halves src = halves(values(2 * src_size(g), 3)), diff_dst = halves(values(2 * dst_size(g), 4));
      const auto expected = gradient(g, reference_kernels(), src, diff_dst, 2);
      for (const Kernels* set : available()) {
        CAPTURE(set->isa);
        CHECK(same_bits(gradient(g, *set, src, diff_dst, 2), expected));
      }
    }
  }
}

TEST_CASE("weight gradient: of bytes as of the integers they are, every shape, in every set") {
  for (const Geometry& g : geometries()) {
    CAPTURE(g.kernel);
    CAPTURE(g.stride);
    CAPTURE(g.channels);
    check_bytes<unsigned char>(SrcValues::unsigned_bytes, g);
    check_bytes<signed char>(SrcValues::signed_bytes, g);
  }
}

TEST_CASE("weight gradient: the right column first, each sum rounded, denormals are 0") {
  const Geometry g{.width = 2};
  const auto half = [](float x) {
    return static_cast<unsigned short>(std::bit_cast<std::uint32_t>(x) >> 16);
  };
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    // 2^24 + 1 rounds to 2^24, so that which comes first shows.
    const Halves ones(4, half(1));
    CHECK(gradient({.width = 4}, *set, ones, {0, half(0x1p24f), half(-0x1p24f), half(1)}, 1) ==
          std::vector<float>{0});
    CHECK(gradient({.width = 4}, *set, ones, {0, half(0x1p24f), half(1), half(-0x1p24f)}, 1) ==
          std::vector<float>{1});
    CHECK(gradient(g, *set, {half(0x1p-127f), half(0x1p-70f)}, {half(1), half(0x1p-70f)}, 1) ==
          std::vector<float>{0});
    CHECK(gradient(g, *set, {half(0x1p-126f), half(0)}, {half(1), half(0)}, 1) ==
          std::vector<float>{0x1p-126f});
  }
}

}  // namespace qtrain::kernels
