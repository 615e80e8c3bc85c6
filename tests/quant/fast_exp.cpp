// The exponential of the STEs against the library's.
#include "quant/fast_exp.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "quant/blocks.hpp"

namespace qtrain::quant {

TEST_CASE("fast_exp_minus: right to 2e-7 wherever it is not 0") {
  double worst = 0;
  const auto look = [&](float t) {
    const double exact = std::exp(-static_cast<double>(t));
    worst = std::max(worst, std::abs(static_cast<double>(fast_exp_minus(t)) - exact) / exact);
  };
  constexpr int kPoints = 2'000'000;
  for (int i = 0; i <= kPoints; ++i) look(87 * static_cast<float>(i) / kPoints);
  for (float t = 1e-30F; t < 87; t *= 1.001F) look(t);
  CHECK(worst <= 2e-7);
}

TEST_CASE("fast_exp_minus: the ends") {
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  CHECK(fast_exp_minus(0) == 1);
  CHECK(fast_exp_minus(87) > 0);
  for (float t = 87; t <= 88; t += 0.001F) REQUIRE(fast_exp_minus(t) <= 1.7e-38F);
  for (const float t : {88.0F, 100.0F, 1e30F, kInfinite, -kInfinite, std::nanf("")})
    CHECK(fast_exp_minus(cut_exponent(t)) == 0);
}

TEST_CASE("cut_exponent: the magnitude, up to 88") {
  CHECK(cut_exponent(0) == 0);
  CHECK_FALSE(std::signbit(cut_exponent(-0.0F)));
  CHECK(cut_exponent(-3.5F) == 3.5F);
  CHECK(cut_exponent(1e-42F) == 1e-42F);
  CHECK(cut_exponent(87.99F) == 87.99F);
  for (const float t : {88.0F, -88.01F, 1e30F}) CHECK(cut_exponent(t) == kMostExponent);
}

TEST_CASE("fast_exp_minus: the same bits on every machine, in vector instructions or alone") {
  constexpr std::array<float, 5> kInputs = {80, 3.3F, 0.1F, 0.7F, 42};
  constexpr std::array<std::uint32_t, 5> kBits = {96464058, 1024922318, 1063756653, 1056850030, 556380714};
  std::array<float, 40> many{};
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = kInputs[i % kInputs.size()];
  map_blocks(many, many, [](float t) { return fast_exp_minus(t); });
  for (std::size_t i = 0; i < many.size(); ++i)
    CHECK(std::bit_cast<std::uint32_t>(many[i]) == kBits[i % kBits.size()]);
}

}  // namespace qtrain::quant
