#include <doctest/doctest.h>

#include <limits>
#include <numeric>

#include "kernels/bit_samples.hpp"

namespace qtrain::kernels {
namespace {

struct Pack {
  ConvolutionGeometry geometry;
  BitActivations activations;
};

/// Widths of whole and broken groups of 64 codes; paddings of either parity.
std::vector<Pack> packs() {
  std::vector<Pack> all;
  for (const std::size_t channels : {1U, 3U, 15U, 16U, 17U, 32U, 33U, 64U, 65U, 100U, 256U})
    for (const std::size_t width : {8U, 9U})
      for (const std::size_t stride : {1U, 2U, 3U})
        for (const std::size_t kernel : {1U, 2U, 3U})
          for (const std::size_t padding : {0U, 1U, 2U})
            for (const BitActivations& activations : {BitActivations{1, -1, 2}, BitActivations{2, -1},
                                                      BitActivations{8}, BitActivations{7, 0, 2}})
              all.push_back({{5, width, channels, 1, kernel, stride, padding}, activations});
  return all;
}

}  // namespace

// The image of 1 x 2 pixels and 18 channels has all codes 0 but one; its bit must lie where PlaneLayout says.
TEST_CASE("packing: one code lights one bit of each of its planes") {
  const BitConvolution convolution({1, 2, 18, 1, 1, 1, 1}, {1}, {3});
  const PlaneLayout& l = convolution.layout();
  REQUIRE(l.lane_bytes == 4);
  REQUIRE(l.columns == 4);
  REQUIRE(l.rows == 3);
  for (const Kernels* set : available())
    for (std::size_t x = 0; x < 2; ++x)
      for (std::size_t channel = 0; channel < 18; ++channel) {
        std::vector<unsigned char> codes(2 * 18), planes(l.image_bytes), expected(l.image_bytes);
        codes[x * 18 + channel] = 5;
        set->pack_bytes(l, codes.data(), 1, planes.data());
        for (const std::size_t plane : {0U, 2U}) {
          const std::size_t column = x + 1,
                            row_start = 1 * 3 * 4 * 4;  // row 1; 3 planes of 4 words of 4 bytes
          expected[row_start + plane * 16 + column * 4 + channel / 8] =
              static_cast<unsigned char>(1 << channel % 8);
        }
        CHECK(planes == expected);
      }
}

TEST_CASE("packing: every set gives the reference's bytes, from bytes and from floats") {
  for (const auto& [geometry, activations] : packs()) {
    const BitCase c{geometry, {1}, activations, WeightKind::odd, 2};
    CAPTURE(geometry.channels);
    CAPTURE(geometry.stride);
    RandomStream random(30, Purpose::test);
    const std::vector<int> codes = random_activations(c, random);
    const std::vector<unsigned char> bytes = after_one(bytes_of(codes));
    const std::vector<float> floats = after_one(floats_of(codes));
    const BitConvolution convolution(geometry, c.weights, activations);
    const std::size_t size = c.images * convolution.image_bytes();
    GuardedBytes expected(size);
    reference_kernels().pack_bytes(convolution.layout(), bytes.data() + 1, c.images, expected.data());
    for (const Kernels* set : available()) {
      CAPTURE(std::string(set->isa));
      GuardedBytes from_bytes(size), from_floats(size);
      set->pack_bytes(convolution.layout(), bytes.data() + 1, c.images, from_bytes.data());
      set->pack_floats(convolution.layout(), floats.data() + 1, c.images, from_floats.data());
      CHECK(from_bytes.values() == expected.values());
      CHECK(from_floats.values() == expected.values());
      CHECK(from_bytes.intact());
      CHECK(from_floats.intact());
    }
  }
}

TEST_CASE("packing: signs are those of the sign kernel, zeros and NaN being +1") {
  for (const std::size_t channels : {1U, 15U, 16U, 32U, 33U, 64U, 100U}) {
    const BitCase c{{3, 8, channels, 1, 3, 1, 1}, {1}, {1, -1, 2}, WeightKind::odd, 2};
    const std::vector<float> x = after_one(special_values(input_count(c), 1));
    std::vector<float> signs(input_count(c));
    reference_kernels().sign(x.data() + 1, signs.data(), signs.size());
    const BitConvolution convolution(c.geometry, c.weights, c.activations);
    GuardedBytes expected(c.images * convolution.image_bytes());
    reference_kernels().pack_floats(convolution.layout(), signs.data(), c.images, expected.data());
    for (const Kernels* set : available()) {
      CAPTURE(set->isa);
      GuardedBytes planes(c.images * convolution.image_bytes());
      set->pack_signs(convolution.layout(), x.data() + 1, c.images, planes.data());
      CHECK(planes.values() == expected.values());
      CHECK(planes.intact());
    }
  }
}

}  // namespace qtrain::kernels
