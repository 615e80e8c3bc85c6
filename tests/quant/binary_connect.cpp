// BinaryConnect and `none` against Algorithm 1 re-derived, and BinaryConnect's known behaviour on toy losses.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>

#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

std::unique_ptr<WeightMethod> make(const std::string& name, const Shape& shape) {
  return read_spec<WeightSpec>("method: " + name).make({"w", shape});
}

/// Mean used weight over `steps` steps of BinaryConnect on one weight, for the loss gradient `slope` at w,
/// without clip.
template <class Slope>
double mean_weight(Slope slope, float& u, int steps) {
  const auto method = make("binary_connect", {1, 1});
  double sum = 0;
  for (int step = 0; step < steps; ++step) {
    float w = 0;
    method->used({&u, 1}, {}, {&w, 1});
    sum += static_cast<double>(w);
    const float gw = slope(w);
    float gu = 0;
    method->pulled({&u, 1}, {&w, 1}, {&gw, 1}, {}, {&gu, 1});
    u -= 0.1F * gu;
  }
  return sum / steps;
}

}  // namespace

TEST_CASE("none: the latent tensor is used as it is, in float") {
  const auto method = make("none", {1, 3});
  const std::array<float, 3> u = {0.5F, -2, 0};
  std::array<float, 3> w{};
  method->used(u, {}, w);
  CHECK(w == u);
  std::array<float, 3> codes{};
  std::array<float, 1> scales{};
  CHECK_FALSE(method->codes(w, codes, scales));
  CHECK(method->bits() == 32);
}

TEST_CASE("binary_connect: sign with sign(0) = +1, straight through, clipped to [-1, 1]") {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  const std::array<float, 8> u = {0.3F, -0.3F, 0, -0.0F, kTiny, -kTiny, 7, -7};
  const std::array<float, 8> signs = {1, -1, 1, 1, 1, -1, 1, -1};
  const auto method = make("binary_connect", {2, 4});
  std::array<float, 8> w{};
  method->used(u, {}, w);
  CHECK(w == signs);

  std::array<float, 8> codes{};
  std::array<float, 1> scales{};
  REQUIRE(method->codes(w, codes, scales));
  CHECK(codes == signs);
  CHECK(scales[0] == 1);

  const std::array<float, 8> gw = {1, 2, 3, 4, 5, 6, 7, 8};
  std::array<float, 8> gu{};
  method->pulled(u, w, gw, {}, gu);
  CHECK(gu == gw);

  std::array<float, 8> settled = u;
  method->settled(settled, {});
  CHECK(settled == std::array<float, 8>{0.3F, -0.3F, 0, -0.0F, kTiny, -kTiny, 1, -1});
}

// Loss (w - c)^2 / 2: mean w = c - (u_T - u_0) / (0.1 T); from u_0 = 0.4 after 1000 steps .304 and -.746.
TEST_CASE("binary_connect: on a quadratic the mean weight tends to its minimum") {
  float u = 0.4F;
  CHECK(mean_weight([](float w) { return w - 0.3F; }, u, 1000) == doctest::Approx(0.304).epsilon(1e-6));
  CHECK(u == doctest::Approx(0).epsilon(1e-4));
  u = 0.4F;
  CHECK(mean_weight([](float w) { return w + 0.75F; }, u, 1000) == doctest::Approx(-0.746).epsilon(1e-6));
  u = 0.4F;
  CHECK(mean_weight([](float w) { return w - 1.5F; }, u, 1000) == 1);
}

// Losses |w + 1/2| and |w - 1/2| have slopes sign(w) at w = +-1: the same trajectory, whose signs never
// settle.
TEST_CASE("binary_connect: cannot tell two losses with opposite minima apart") {
  for (const float centre : {-0.5F, 0.5F}) {
    const auto slope = [&](float w) { return w > centre ? 1.0F : -1.0F; };
    float u = 0.25F;
    for (const double expected : {0.15, 0.05, -0.05, 0.05, -0.05}) {
      mean_weight(slope, u, 1);
      CHECK(static_cast<double>(u) == doctest::Approx(expected).epsilon(1e-5));
    }
  }
}

}  // namespace qtrain::quant
