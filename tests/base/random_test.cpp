#include "base/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace qtrain {
namespace {

std::vector<std::uint32_t> first_bits(RandomStream stream, int count) {
  std::vector<std::uint32_t> bits;
  for (int i = 0; i < count; ++i) bits.push_back(stream.bits());
  return bits;
}

struct Moments {
  double mean;
  double variance;
  double third;   // central, in units of sigma
  double fourth;  // central, in units of sigma
};

template <class Draw>
Moments moments(int count, Draw draw) {
  std::vector<double> values;
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += values.emplace_back(draw());
  const double mean = sum / count;
  double m2 = 0;
  double m3 = 0;
  double m4 = 0;
  for (const double value : values) {
    const double d = value - mean;
    m2 += d * d / count;
    m3 += d * d * d / count;
    m4 += d * d * d * d / count;
  }
  return {mean, m2, m3 / std::pow(m2, 1.5), m4 / (m2 * m2)};
}

}  // namespace

// The published known answer of Philox4x32-10 for key 0 and counter 0 (Random123, kat_vectors).
TEST_CASE("the stream is Philox4x32-10") {
  const RandomStream zero(0, Purpose{0});
  CHECK(first_bits(zero, 4) == std::vector<std::uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
}

// Changing any of these changes every experiment.
TEST_CASE("the first numbers of a stream are pinned") {
  CHECK(first_bits(RandomStream(1, Purpose::data_order, 2, 3, 4), 6) ==
        std::vector<std::uint32_t>{0xfd44711f, 0x01825e76, 0x923c8dea, 0xae6dabe6, 0x48939567, 0x9c1d9dc7});
  RandomStream stream(1, Purpose::initial_weights);
  CHECK(stream.uniform() == 0.579591453f);
  CHECK(stream.uniform(-1, 1) == -0.997099996f);
  CHECK(stream.normal() == doctest::Approx(-0.228665248).epsilon(1e-6));  // the last bit is libm's
  CHECK(stream.normal() == doctest::Approx(1.03115368).epsilon(1e-6));
}

TEST_CASE("each part of the key makes another stream, and the same key the same one") {
  const auto bits = [](std::uint64_t seed, Purpose purpose, std::uint32_t a, std::uint32_t b,
                       std::uint32_t c) { return first_bits(RandomStream(seed, purpose, a, b, c), 8); };
  const std::vector<std::vector<std::uint32_t>> streams{
      bits(1, Purpose::test, 0, 0, 0),
      bits(2, Purpose::test, 0, 0, 0),
      bits((std::uint64_t{1} << 32) + 1, Purpose::test, 0, 0, 0),
      bits(1, Purpose::augmentation, 0, 0, 0),
      bits(1, Purpose::test, 1, 0, 0),
      bits(1, Purpose::test, 0, 1, 0),
      bits(1, Purpose::test, 0, 0, 1),
  };
  for (std::size_t i = 0; i < streams.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(streams[i] != streams[j]);
  CHECK(bits(1, Purpose::test, 0, 0, 0) == streams[0]);
}

TEST_CASE("below stays under its bound and is uniform") {
  RandomStream stream(3, Purpose::test);
  for (int i = 0; i < 100; ++i) CHECK(stream.below(1) == 0);
  for (const std::uint32_t bound : {2u, 3u, 10u, 1000u, 0x80000001u, 0xffffffffu})
    for (int i = 0; i < 1000; ++i) REQUIRE(stream.below(bound) < bound);
  constexpr int kDraws = 100000;
  std::array<int, 10> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts[stream.below(10)];
  double chi_squared = 0;
  for (const int count : counts)
    chi_squared += (count - kDraws / 10.0) * (count - kDraws / 10.0) / (kDraws / 10.0);
  CHECK(chi_squared < 27.9);  // 0.1 % of chi-squared with 9 degrees of freedom
}

// With a bound of 3/4 of 2^32, taking the product's high word without rejection would hit multiples of 3
// twice as often.
TEST_CASE("below has no bias for a large bound") {
  RandomStream stream(4, Purpose::test);
  constexpr int kDraws = 100000;
  int multiples = 0;
  for (int i = 0; i < kDraws; ++i) multiples += stream.below(0xc0000000u) % 3 == 0;
  CHECK(multiples == doctest::Approx(kDraws / 3.0).epsilon(0.02));
}

TEST_CASE("uniform numbers lie in their range and have its moments") {
  RandomStream stream(5, Purpose::test);
  float lowest = 1;
  float highest = 0;
  const Moments m = moments(200000, [&] {
    const float value = stream.uniform();
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
    return value;
  });
  CHECK(lowest >= 0.0f);
  CHECK(highest < 1.0f);
  CHECK(std::abs(m.mean - 0.5) < 0.003);
  CHECK(std::abs(m.variance - 1.0 / 12) < 0.001);
  CHECK(std::abs(m.fourth - 1.8) < 0.02);
  const Moments scaled = moments(100000, [&] { return stream.uniform(-3.0f, 1.0f); });
  CHECK(std::abs(scaled.mean + 1.0) < 0.02);
  CHECK(std::abs(scaled.variance - 16.0 / 12) < 0.02);
}

TEST_CASE("normal numbers have the moments of N(0, 1), and pairs are uncorrelated") {
  RandomStream stream(6, Purpose::test);
  const Moments m = moments(200000, [&] { return stream.normal(); });
  CHECK(std::abs(m.mean) < 0.01);
  CHECK(std::abs(m.variance - 1) < 0.02);
  CHECK(std::abs(m.third) < 0.03);
  CHECK(std::abs(m.fourth - 3) < 0.08);
  const Moments products = moments(100000, [&] {
    const float first = stream.normal();
    return first * stream.normal();
  });
  CHECK(std::abs(products.mean) < 0.015);
}

}  // namespace qtrain
