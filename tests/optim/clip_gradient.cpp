// Gradient clipping against its equations in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "optim/optimizer.hpp"
#include "read_spec.hpp"

namespace qtrain::optim {
namespace {

std::vector<float> normal_values(std::size_t size) {
  RandomStream random(3, Purpose::test);
  std::vector<float> values(size);
  for (float& x : values) x = random.normal();
  return values;
}

double norm_of(const std::vector<float>& values) {
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

/// `values` in parts that begin at these places, clipped.
std::vector<float> clipped(const std::string& keys, std::vector<float> values,
                           const std::vector<std::size_t>& begins = {0}) {
  std::vector<std::span<float>> parts;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t end = i + 1 < begins.size() ? begins[i + 1] : values.size();
    parts.push_back(std::span(values).subspan(begins[i], end - begins[i]));
  }
  clip_gradient(read_spec<OptimizerSpec>(keys), parts);
  return values;
}

}  // namespace

TEST_CASE("clipping is off unless asked for, and leaves what is within its bounds") {
  const std::vector<float> g = normal_values(1000);
  CHECK(clipped("{}", g) == g);
  CHECK(clipped("{clip_norm: 40, clip_value: 10}", g) == g);
  CHECK(clipped("clip_norm: 5", {3, 4}) == std::vector<float>{3, 4});
  CHECK(clipped("clip_norm: 1", std::vector<float>(7)) == std::vector<float>(7));
}

TEST_CASE("clip_norm scales all parts by one factor, down to that norm") {
  CHECK(clipped("clip_norm: 2.5", {3, -4}) == std::vector<float>{1.5f, -2});
  for (const std::size_t size : {1, 15, 16, 17, 1000, 4099}) {
    const std::vector<float> g = normal_values(size), shorter = clipped("clip_norm: 0.25", g);
    const double factor = 0.25 / norm_of(g);
    for (std::size_t i = 0; i < size; ++i)
      REQUIRE(shorter[i] == doctest::Approx(factor * static_cast<double>(g[i])).epsilon(1e-6));
    CHECK(norm_of(shorter) == doctest::Approx(0.25).epsilon(1e-6));
  }
  const std::vector<float> g = normal_values(1000);
  const std::vector<float> whole = clipped("clip_norm: 2", g),
                           parts = clipped("clip_norm: 2", g, {0, 5, 700});
  for (std::size_t i = 0; i < g.size(); ++i) CHECK(parts[i] == doctest::Approx(whole[i]).epsilon(1e-6));
}

TEST_CASE("clip_norm: squares beyond the range of floats do not overflow") {
  const std::vector<float> shorter = clipped("clip_norm: 1", {3e30f, 4e30f});
  CHECK(shorter[0] == doctest::Approx(0.6));
  CHECK(shorter[1] == doctest::Approx(0.8));
}

TEST_CASE("clip_value cuts each value, before the norm is taken") {
  CHECK(clipped("clip_value: 1.5", {-2, -1, 0, 1.5f, 7}) == std::vector<float>{-1.5f, -1, 0, 1.5f, 1.5f});
  CHECK(clipped("{clip_value: 4, clip_norm: 2.5}", {3, 100}) == std::vector<float>{1.5f, 2});
}

}  // namespace qtrain::optim
