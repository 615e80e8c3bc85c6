// exp_minus against the library's exponential.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

float exp_minus(const Kernels& set, float x) {
  float y = 0;
  set.exp_minus(&x, &y, 1);
  return y;
}

}  // namespace

TEST_CASE("exp_minus: right to 2e-7 up to 87, for either sign") {
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    std::vector<float> t;
    for (int i = 0; i <= 1'000'000; ++i) t.push_back(87e-6f * static_cast<float>(i));
    for (float small = 1e-30f; small < 87; small *= 1.001f) t.push_back(-small);
    std::vector<float> y(t.size());
    set->exp_minus(t.data(), y.data(), t.size());
    double worst = 0;
    for (std::size_t i = 0; i < t.size(); ++i) {
      const double exact = std::exp(-std::abs(static_cast<double>(t[i])));
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) - exact) / exact);
    }
    CHECK(worst <= 2e-7);
  }
}

TEST_CASE("exp_minus: the ends") {
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  for (const Kernels* set : available()) {
    CHECK(exp_minus(*set, 0) == 1);
    CHECK(exp_minus(*set, -0.0f) == 1);
    CHECK(exp_minus(*set, 87) > 0);
    for (float t = 87; t <= 88; t += 0.001f) REQUIRE(exp_minus(*set, t) <= 1.7e-38f);
    for (const float t : {88.0f, -88.0f, 100.0f, 1e30f, kInfinite, -kInfinite, std::nanf("")})
      CHECK(exp_minus(*set, t) == 0);
  }
}

TEST_CASE("exp_minus: the same bits on every machine") {
  constexpr std::array<float, 5> kInputs = {80, 3.3f, 0.1f, 0.7f, 42};
  constexpr std::array<std::uint32_t, 5> kBits = {96464058, 1024922318, 1063756653, 1056850030, 556380714};
  for (const Kernels* set : available())
    for (std::size_t i = 0; i < kInputs.size(); ++i)
      CHECK(std::bit_cast<std::uint32_t>(exp_minus(*set, kInputs[i])) == kBits[i]);
}

}  // namespace qtrain::kernels
