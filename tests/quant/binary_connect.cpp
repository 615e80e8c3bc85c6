// BinaryConnect and `none` against Algorithm 1 re-derived, and BinaryConnect's known behaviour on toy losses.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

std::unique_ptr<WeightMethod> make(const std::string& name, const Shape& shape) {
  return read_spec<WeightSpec>("{method: " + name + "}").make({"w", shape});
}

WeightContext context_of(std::uint64_t seed, std::uint32_t tensor, std::int64_t step) {
  WeightContext context;
  context.seed = seed;
  context.tensor = tensor;
  context.step = step;
  return context;
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

TEST_CASE("binary_connect, bound: gradient: none beyond +-1, latents as they are") {
  const std::array<float, 5> u = {0.5F, 1, -1, 1.5F, -7}, w = {1, 1, -1, 1, -1}, gw = {1, 2, 3, 4, 5};
  const auto method = make("binary_connect, bound: gradient", {1, 5});
  std::array<float, 5> gu{}, settled = u;
  method->pulled(u, w, gw, {}, gu);
  CHECK(gu == std::array<float, 5>{1, 2, 3, 0, 0});
  method->settled(settled, {});
  CHECK(settled == u);
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

// With P(+1) = (u + 1) / 2 the mean weight is u itself; 20000 draws leave a deviation of at most 0.0071.
TEST_CASE("binary_connect, stochastic: the mean weight is u, cut to [-1, 1]") {
  const std::array<float, 7> u = {-0.75F, -0.2F, 0, 0.5F, 1, -1, 1.5F};
  const auto method = make("binary_connect, mode: stochastic", {1, 7});
  constexpr int kSteps = 20'000;
  std::array<double, 7> mean{};
  for (int step = 0; step < kSteps; ++step) {
    std::array<float, 7> w{};
    method->used(u, context_of(0, 0, step), w);
    for (std::size_t i = 0; i < w.size(); ++i) {
      REQUIRE(std::abs(w[i]) == 1);
      mean[i] += static_cast<double>(w[i]) / kSteps;
    }
  }
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(mean[i] - static_cast<double>(u[i])) < 0.03);
  CHECK(mean[4] == doctest::Approx(1));
  CHECK(mean[5] == doctest::Approx(-1));
  CHECK(mean[6] == doctest::Approx(1));
}

TEST_CASE("binary_connect, stochastic: draws depend on seed, tensor and step alone") {
  const auto draw = [](const WeightContext& context) {
    const auto method = make("binary_connect, mode: stochastic", {8, 8});
    const std::vector<float> u(64, 0.0F);
    std::vector<float> w(64);
    method->used(u, context, w);
    return w;
  };
  WeightContext context = context_of(3, 2, 10);
  const auto first = draw(context);
  context.learning_rate = 0.2;
  CHECK(draw(context) == first);
  CHECK(draw(context_of(4, 2, 10)) != first);
  CHECK(draw(context_of(3, 1, 10)) != first);
  CHECK(draw(context_of(3, 2, 11)) != first);
  CHECK(draw(context_of(3, 2, 10 + (std::int64_t{1} << 32))) != first);
}

TEST_CASE("binary_connect, stochastic: evaluations use u, the end its signs") {
  const std::array<float, 4> u = {0.25F, -0.5F, 0, -0.0F};
  const auto method = make("binary_connect, mode: stochastic", {2, 2});
  std::array<float, 4> w{}, codes{};
  std::array<float, 1> scales{};
  WeightContext evaluation;
  evaluation.evaluation = true;
  method->used(u, evaluation, w);
  CHECK(w == u);
  CHECK_FALSE(method->codes(w, codes, scales));
  CHECK_FALSE(method->code_range());
  method->final(u, {}, w);
  CHECK(w == std::array<float, 4>{1, -1, 1, 1});
  CHECK(method->codes(w, codes, scales));
}

// fan_in = 4 * 9, fan_out = 8 * 9: updates times sqrt(108 / 1.5) = 8.4852814, then the clip.
TEST_CASE("binary_connect, scale_updates: each update times 1 / sqrt(1.5 / (fan_in + fan_out))") {
  const auto settled_update = [](const std::string& name, const Shape& shape, float update) {
    const auto method = make(name, shape);
    std::vector<float> u(element_count(shape), 0.125F), w(u), gw(u), gu(u);
    method->used(u, {}, w);
    method->pulled(u, w, gw, {}, gu);
    CHECK(gu == gw);
    for (float& value : u) value += update;
    method->settled(u, {});
    CHECK(u.front() == u.back());
    return static_cast<double>(u.front()) - 0.125;
  };
  const std::string scaled = "binary_connect, scale_updates: true";
  CHECK(settled_update(scaled, {8, 4, 3, 3}, 0.0625F) == doctest::Approx(0.5303301).epsilon(1e-6));
  CHECK(settled_update(scaled, {8, 4, 3, 3}, -0.0625F) == doctest::Approx(-0.5303301).epsilon(1e-6));
  CHECK(settled_update(scaled, {8, 4, 3, 3}, 0.25F) == 0.875);
  CHECK(settled_update(scaled, {100, 50}, 0.0625F) == doctest::Approx(0.625).epsilon(1e-6));
  CHECK(settled_update("binary_connect", {100, 50}, 0.0625F) == 0.0625);
}

}  // namespace qtrain::quant
