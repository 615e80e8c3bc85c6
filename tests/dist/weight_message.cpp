// Messages of weights: they come back bit by bit, and take the bytes they should.
#include "dist/weight_message.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "base/random.hpp"

namespace qtrain::dist {
namespace {

using Values = std::vector<float>;

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Values drawn(std::size_t size, const Values& levels) {
  RandomStream random(3, Purpose::test);
  Values codes(size);
  for (float& code : codes) code = levels[random.below(static_cast<std::uint32_t>(levels.size()))];
  return codes;
}

/// Codes as read, times their scales.
void read_products(const std::vector<std::byte>& message, std::size_t& position, std::size_t rows,
                   Values& w) {
  Values scales;
  read_weights(message, position, rows, w, scales);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] *= scales[i / (w.size() / scales.size())];
}

}  // namespace

TEST_CASE("codes with a scale an output come back as their products, packed") {
  for (const std::size_t size : {12U, 96U, 1200U})
    for (const Values& levels : {Values{-1, 1}, Values{-1, 0, 1}, Values{-1, -0.5F, -0.0F, 0, 0.5F, 1}}) {
      const Values codes = drawn(size, levels), scales = {0.25F, 0.3F, 7, 1e-30F};
      std::vector<std::byte> message;
      append_weights(codes, scales, 4, message);
      const auto bits = static_cast<std::size_t>(std::bit_width(levels.size() - 1));
      if (size >= 96) CHECK(message.size() == 9 + 4 * 4 + 4 * levels.size() + (size * bits + 7) / 8);
      Values w(size), product(size);
      for (std::size_t i = 0; i < size; ++i) product[i] = scales[i / (size / 4)] * codes[i];
      std::size_t position = 0;
      read_products(message, position, 4, w);
      CHECK(position == message.size());
      CHECK(same_bits(w, product));
    }
}

TEST_CASE("floats come back as they were, one value and none too, and tensors follow each other") {
  RandomStream random(4, Purpose::test);
  Values floats(5000);
  for (float& value : floats) value = random.normal();
  floats[7] = std::numeric_limits<float>::infinity();
  const Values one(100, -0.0F), none;
  const Values unit = {1};
  std::vector<std::byte> message;
  for (const Values& w : {floats, one, none}) append_weights(w, unit, 4, message);
  CHECK(message.size() == (13 + 4 * 5000) + (13 + 4) + 13);
  std::size_t position = 0;
  for (const Values& w : {floats, one, none}) {
    Values read(w.size());
    read_products(message, position, 4, read);
    CHECK(same_bits(read, w));
  }
  CHECK(position == message.size());
}

TEST_CASE("rows with codes of their own have tables of their own") {
  // Sixteen rows of four values each, no two rows alike.
  Values codes(16 * 100);
  for (std::size_t i = 0; i < codes.size(); ++i)
    codes[i] = 0.1F * static_cast<float>(i / 100) +
               static_cast<float>(i % 4) * (1 + 1e-3F * static_cast<float>(i / 100));
  Values many = codes;
  for (std::size_t row = 0; row < 16; ++row)
    for (std::size_t i = 0; i < 20; ++i) many[row * 100 + i] = static_cast<float>(row * 20 + i) * 1.7F;
  for (const Values& w : {codes, many}) {
    std::vector<std::byte> message;
    append_weights(w, Values{1}, 16, message);
    CHECK(message.size() < 4 * w.size());
    Values read(w.size());
    std::size_t position = 0;
    read_products(message, position, 16, read);
    CHECK(same_bits(read, w));
  }
  std::vector<std::byte> message;
  append_weights(codes, Values{1}, 16, message);
  CHECK(message.size() == 13 + 4 * 4 * 16 + 1600 / 4);
}

TEST_CASE("256 codes take a byte each, 257 are floats") {
  Values codes(1000);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<float>(i % 256);
  std::vector<std::byte> message;
  append_weights(codes, Values{2}, 4, message);
  CHECK(message.size() == 13 + 4 * 256 + 1000);
  codes[999] = 1000;
  message.clear();
  append_weights(codes, Values{2}, 4, message);
  CHECK(message.size() == 13 + 4 * 1000);
  Values w(1000);
  message.resize(message.size() - 1);
  std::size_t position = 0;
  CHECK_THROWS_AS(read_products(message, position, 4, w), Error);
}

}  // namespace qtrain::dist
