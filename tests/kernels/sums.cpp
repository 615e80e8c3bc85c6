#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

struct Sums {
  std::vector<double> moment1, moment2, gradients, products, lanes;
  bool operator==(const Sums&) const = default;
};

/// All sums of a tile, each added to a start value of its lane.
Sums all_sums(const Kernels& k, TileSize size, const std::vector<float>& g, const std::vector<float>& z,
              const std::vector<float>& shift) {
  std::vector<double> start(size.lanes);
  for (std::size_t l = 0; l < size.lanes; ++l) start[l] = static_cast<double>(l) + 0.25;
  Guarded<float> gs(g), zs(z), shifts(shift);
  Guarded<double> m1(start), m2(start), g1(start), g2(start), l1(start);
  k.moments(zs.data(), shifts.data(), m1.data(), m2.data(), size.pixels, size.lanes);
  k.products(gs.data(), zs.data(), shifts.data(), g1.data(), g2.data(), size.pixels, size.lanes);
  k.lane_sums(gs.data(), l1.data(), size.pixels, size.lanes);
  CHECK((m1.intact() && m2.intact() && g1.intact() && g2.intact() && l1.intact()));
  return {m1.values(), m2.values(), g1.values(), g2.values(), l1.values()};
}

bool same_bits(const Sums& a, const Sums& b) {
  return kernels::same_bits(a.moment1, b.moment1) && kernels::same_bits(a.moment2, b.moment2) &&
         kernels::same_bits(a.gradients, b.gradients) && kernels::same_bits(a.products, b.products) &&
         kernels::same_bits(a.lanes, b.lanes);
}

/// Values of all magnitudes without NaN and infinity, for which every order of addition gives another sum.
std::vector<float> spread_values(std::size_t size, std::uint32_t stream) {
  std::vector<float> values = plain_values(size, stream);
  for (std::size_t i = 0; i < size; ++i) values[i] = std::ldexp(values[i], static_cast<int>(i * 7 % 41) - 20);
  return values;
}

}  // namespace

TEST_CASE("sums: every set gives the reference's bits") {
  for (const TileSize size : tile_sizes()) {
    CAPTURE(size.pixels);
    CAPTURE(size.lanes);
    const std::size_t n = size.pixels * size.lanes;
    for (const auto values : {plain_values, spread_values, special_values}) {
      const std::vector<float> g = values(n, 1), z = values(n, 2), shift = plain_values(size.lanes, 3);
      const Sums expected = all_sums(reference_kernels(), size, g, z, shift);
      for (const Kernels* set : available()) CHECK(same_bits(all_sums(*set, size, g, z, shift), expected));
    }
  }
}

TEST_CASE("window_sums: every set gives the reference's bits, and the equation's on small integers") {
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  for (const std::size_t size : kSizes) {
    for (const auto values : {plain_values, spread_values, special_values, integer_values}) {
      for (const auto& [low, high] : {std::pair{-1.0f, 2.0f}, std::pair{0.5f, kInfinite}}) {
        CAPTURE(size);
        Guarded<float> x(values(size, 1)), g(values(size, 2));
        std::vector<double> expected{1, 2};
        reference_kernels().window_sums(x.data(), low, high, g.data(), expected.data(), size);
        for (const Kernels* set : available()) {
          std::vector<double> sums{1, 2};
          set->window_sums(x.data(), low, high, g.data(), sums.data(), size);
          CHECK(kernels::same_bits(sums, expected));
        }
        if (values != integer_values) continue;
        std::vector<double> exact{1, 2};
        for (std::size_t i = 0; i < size; ++i) {
          const float value = x.data()[i];
          if (value <= low || value > high) continue;
          exact[0] += static_cast<double>(g.data()[i]);
          exact[1] += static_cast<double>(g.data()[i] * value);
        }
        CHECK(expected == exact);
      }
    }
  }
}

TEST_CASE("sums: the equations, exact on small integers") {
  const TileSize size{1000, 19};
  const auto g = integer_values(19'000, 1), z = integer_values(19'000, 2), shift = integer_values(19, 3);
  std::vector<double> m1(19), m2(19), g1(19), g2(19);
  for (std::size_t l = 0; l < 19; ++l) m1[l] = m2[l] = g1[l] = g2[l] = static_cast<double>(l) + 0.25;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const std::size_t l = i % 19;
    const double gradient = g[i], deviation = static_cast<double>(z[i]) - shift[l];
    m1[l] += deviation;
    m2[l] += deviation * deviation;
    g1[l] += gradient;
    g2[l] += gradient * deviation;
  }
  for (const Kernels* set : available()) CHECK(all_sums(*set, size, g, z, shift) == Sums{m1, m2, g1, g2, g1});
}

// With 1 added to 2^24 a float stays 2^24, so a sum tells where the 1 was added.
TEST_CASE("sums: additions come in the stated order") {
  const float big = 0x1p24f;
  const auto sum_of = [](const Kernels& set, std::size_t lanes,
                         std::vector<std::pair<std::size_t, float>> terms) {
    std::vector<float> g(1024 * lanes);
    for (const auto& term : terms) g[term.first * lanes] = term.second;
    std::vector<double> sum(lanes);
    set.lane_sums(g.data(), sum.data(), 1024, lanes);
    return sum[0];
  };
  for (const Kernels* set : available()) {
    for (const std::size_t lanes : {1u, 5u, 16u}) {
      CAPTURE(set->isa);
      CAPTURE(lanes);
      CHECK(sum_of(*set, lanes, {{0, big}, {4, 1.0f}, {8, -big}}) == 0);  // one sum of the four, in order
      CHECK(sum_of(*set, lanes, {{0, big}, {8, -big}, {12, 1.0f}}) == 1);
      CHECK(sum_of(*set, lanes, {{0, big}, {1, 1.0f}, {4, -big}}) == 1);  // another sum
      CHECK(sum_of(*set, lanes, {{0, big}, {1, 1.0f}, {2, -big}}) == 0);  // (s0 + s1) + (s2 + s3)
      CHECK(sum_of(*set, lanes, {{0, big}, {2, 1.0f}, {3, -big}}) == 1);  // s2 + s3 = 1 - 2^24
      CHECK(sum_of(*set, lanes, {{0, big}, {2, 1.0f}, {1, -big}}) == 1);
      CHECK(sum_of(*set, lanes, {{0, big}, {256, 1.0f}, {512, -big}}) == 1);  // blocks meet in double
      CHECK(sum_of(*set, lanes, {{0, big}, {252, 1.0f}, {512, -big}}) == 0);
    }
  }
}

TEST_CASE("tree_sum: every set gives the reference's bits") {
  for (std::size_t count = 1; count <= 37; ++count) {
    for (const std::size_t size : {0u, 1u, 3u, 15u, 16u, 17u, 64u, 65u, 257u}) {
      CAPTURE(count);
      CAPTURE(size);
      std::vector<Guarded<float>> inputs;
      for (std::uint32_t k = 0; k < count; ++k) {
        inputs.emplace_back(k % 9 == 8 ? special_values(size, k) : spread_values(size, k));
      }
      std::vector<const float*> x;
      for (auto& input : inputs) x.push_back(input.data());
      Guarded<float> expected(size);
      reference_kernels().tree_sum(x.data(), count, 0.3f, expected.data(), size);
      for (const Kernels* set : available()) {
        Guarded<float> y(size), in_place = inputs.back();
        set->tree_sum(x.data(), count, 0.3f, y.data(), size);
        x.back() = in_place.data();
        set->tree_sum(x.data(), count, 0.3f, in_place.data(), size);
        x.back() = inputs.back().data();
        CHECK((y.intact() && in_place.intact()));
        CHECK(kernels::same_bits(y.values(), expected.values()));
        CHECK(kernels::same_bits(in_place.values(), expected.values()));
      }
    }
  }
}

TEST_CASE("tree_sum: the reference adds neighbours round by round") {
  for (std::size_t count = 1; count <= 100; ++count) {
    CAPTURE(count);
    const std::vector<float> terms = spread_values(count, 5);
    std::vector<const float*> x;
    for (const float& term : terms) x.push_back(&term);
    std::vector<float> round = terms;
    while (round.size() > 1) {
      std::vector<float> next;
      for (std::size_t k = 0; k + 1 < round.size(); k += 2) next.push_back(round[k] + round[k + 1]);
      if (round.size() % 2 == 1) next.push_back(round.back());
      round = next;
    }
    float y = 0;
    reference_kernels().tree_sum(x.data(), count, 0.125f, &y, 1);
    CHECK(y == 0.125f * round[0]);
  }
}

}  // namespace qtrain::kernels
