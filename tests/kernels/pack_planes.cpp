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

// Of the pixels of 1 x 2, 5 channels each and padding 1, entry e of a group is the sum of its indices, those
// with their bit of e set taken from 7.
TEST_CASE("packing: tables have the sums of four indices") {
  const BitConvolution convolution({1, 2, 5, 1, 1, 1, 1}, {.planes = 1, .no_zeros = true}, {3, -2});
  REQUIRE(convolution.tables() != nullptr);
  const TableLayout& l = convolution.tables()->layout;
  REQUIRE(l.column_bytes == 64);
  REQUIRE(l.columns == 4);
  REQUIRE(l.rows == 3);
  const std::vector<unsigned char> codes = bytes_of({-2, -1, 0, 5, 4, 1, 2, 3, 1, 0});
  const int indices[2][8] = {{0, 1, 2, 7, 6, 0, 0, 0}, {3, 4, 5, 3, 2, 0, 0, 0}};
  for (const Kernels* set : available()) {
    std::vector<unsigned char> tables(l.image_bytes);
    set->pack_byte_tables(l, codes.data(), 1, tables.data());
    for (std::size_t pixel = 0; pixel < 2; ++pixel)
      for (std::size_t group = 0; group < 2; ++group)
        for (std::size_t e = 0; e < 16; ++e) {
          int sum = 0;
          for (std::size_t j = 0; j < 4; ++j) {
            const int x = indices[pixel][4 * group + j];
            sum += (e >> j & 1) != 0 ? 7 - x : x;
          }
          CHECK(tables[l.row_bytes + (1 + pixel) * 64 + group * 16 + e] == sum);
        }
  }
}

TEST_CASE("packing: every set gives the reference's tables, from bytes and from floats") {
  for (const Pack& pack : packs())
    for (const BitActivations& activations :
         {BitActivations{2, -1}, BitActivations{3, -6, 2}, BitActivations{4}}) {
      const BitCase c{pack.geometry, {.planes = 1, .no_zeros = true}, activations, WeightKind::odd, 2};
      // Each geometry once; with 256 channels 16 bits do not hold the sums.
      if (pack.activations.planes != 8 || pack.geometry.channels == 256) continue;
      const BitConvolution convolution(c.geometry, c.weights, activations, reference_kernels());
      REQUIRE(convolution.tables() != nullptr);
      const TableLayout& l = convolution.tables()->layout;
      RandomStream random(31, Purpose::test);
      const std::vector<int> codes = random_activations(c, random);
      const std::vector<unsigned char> bytes = after_one(bytes_of(codes));
      const std::vector<float> floats = after_one(floats_of(codes));
      GuardedBytes expected(c.images * l.image_bytes);
      reference_kernels().pack_byte_tables(l, bytes.data() + 1, c.images, expected.data());
      for (const Kernels* set : available()) {
        CAPTURE(std::string(set->isa));
        GuardedBytes from_bytes(c.images * l.image_bytes), from_floats(c.images * l.image_bytes);
        set->pack_byte_tables(l, bytes.data() + 1, c.images, from_bytes.data());
        set->pack_float_tables(l, floats.data() + 1, c.images, from_floats.data());
        REQUIRE(from_bytes.values() == expected.values());
        REQUIRE(from_floats.values() == expected.values());
        CHECK(from_bytes.intact());
        CHECK(from_floats.intact());
      }
    }
}

}  // namespace qtrain::kernels
