// lab and laq against known answers and brute force.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "quant/scale_fit.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;

const Values kWeights = {0.9F, -0.7F, 0.35F, 0.3F, -0.1F, 0.05F};
const Values kEven(6, 1.0F);
const Values kUneven = {0.1F, 0.2F, 1, 3, 1, 0.5F};

double wide(float x) { return static_cast<double>(x); }

/// 1/2 sum d (w - q)^2
double objective(const Values& w, const Values& d, const Values& q) {
  double sum = 0;
  for (std::size_t i = 0; i < w.size(); ++i) sum += wide(d[i]) * std::pow(wide(w[i]) - wide(q[i]), 2);
  return sum / 2;
}

struct Fitted {
  Values w;
  double objective = 0;
  double alpha = 0;  ///< where |b| reaches 1
};

/// The best alpha b over all b with entries in `levels`.
Fitted brute_force(const Values& w, const Values& d, const std::vector<double>& levels) {
  Fitted best;
  best.objective = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> index(w.size());
  for (bool more = true; more;) {
    double product = 0, square = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      product += wide(d[i]) * levels[index[i]] * wide(w[i]);
      square += wide(d[i]) * levels[index[i]] * levels[index[i]];
    }
    const double alpha = square > 0 ? product / square : 0;
    Values q(w.size());
    for (std::size_t i = 0; i < w.size(); ++i) q[i] = static_cast<float>(alpha * levels[index[i]]);
    const double value = objective(w, d, q);
    if (alpha >= 0 && value < best.objective) best = {q, value, alpha};
    more = false;
    for (std::size_t i = 0; i < w.size() && !more; ++i) {
      index[i] = (index[i] + 1) % levels.size();
      more = index[i] != 0;
    }
  }
  return best;
}

struct Tensor {
  std::unique_ptr<WeightMethod> method;
  Values u, second_moment;
  WeightContext context;

  Tensor(const std::string& spec, const Values& weights, const Values& d = {})
      : method(read_spec<WeightSpec>("{method: " + spec + "}").make({"w", {1, std::ssize(weights)}})),
        u(weights.size()) {
    for (const float value : d) second_moment.push_back(value * value);
    context.second_moment = second_moment;
    method->initialize(weights, u);
  }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  Values used() {
    Values w(u.size());
    method->used(u, context, w);
    return w;
  }
  Values final() {
    Values w(u.size());
    method->final(u, context, w);
    return w;
  }
  /// Has the next alternation start from codes, as if the step before had ended there.
  Tensor& from(const Values& codes) {
    std::ranges::copy(codes, method->state().front().begin());
    return *this;
  }
};

Values signs(const Values& w, float magnitude) {
  Values result;
  for (const float value : w) result.push_back(value < 0 ? -magnitude : magnitude);
  return result;
}

Values draw(std::size_t size, std::uint32_t key) {
  RandomStream random(6, Purpose::test, key);
  Values values(size);
  for (float& value : values) value = random.normal();
  return values;
}
Values draw_curvature(std::size_t size, std::uint32_t key) {
  RandomStream random(7, Purpose::test, key);
  Values values(size);
  for (float& value : values) value = random.uniform(0.01F, 2.0F);
  return values;
}

double largest(const Values& w) {
  float most = 0;
  for (const float value : w) most = std::max(most, std::abs(value));
  return wide(most);
}

void check_levels(const Values& w, double alpha, const std::vector<double>& b) {
  REQUIRE(w.size() == b.size());
  for (std::size_t i = 0; i < w.size(); ++i) CHECK(std::abs(wide(w[i]) - alpha * b[i]) < 1e-6);
}

}  // namespace

TEST_CASE("lab: known answers") {
  const Values even = Tensor("lab", kWeights, kEven).used();
  check_levels(even, 0.4, {1, -1, 1, 1, -1, 1});
  CHECK(std::abs(objective(kWeights, kEven, even) - 0.2825) < 1e-6);
  const Values uneven = Tensor("lab", kWeights, kUneven).used();
  check_levels(uneven, 0.2767241, {1, -1, 1, 1, -1, 1});
  CHECK(std::abs(objective(kWeights, kUneven, uneven) - 0.0693039) < 1e-6);
}

TEST_CASE("lab: the optimum of its objective") {
  for (std::uint32_t key = 0; key < 50; ++key) {
    const Values w = draw(6, key);
    const Values d = draw_curvature(6, key);
    const Fitted best = brute_force(w, d, {-1, 1});
    CHECK(objective(w, d, Tensor("lab", w, d).used()) <= best.objective + 1e-6);
  }
}

TEST_CASE("lab: with constant or no curvature, mean magnitude times sign") {
  const Values w = draw(100, 1);
  double mean = 0;
  for (const float value : w) mean += std::abs(wide(value)) / 100;
  for (const Values& d : {Values{}, Values(100, 0.0F), Values(100, 3.0F)}) {
    const Values used = Tensor("lab", w, d).used();
    for (std::size_t i = 0; i < w.size(); ++i)
      CHECK(wide(used[i]) == doctest::Approx(w[i] < 0 ? -mean : mean).epsilon(1e-6));
  }
  CHECK(Tensor("lab", {0, -0.0F, 0}).used() == Values{0, 0, 0});
}

TEST_CASE("loss-aware: a common factor of v, such as Adam's bias correction, changes nothing") {
  const Values w = draw(64, 2);
  const Values d = draw_curvature(64, 2);
  Values scaled = d;
  for (float& value : scaled) value *= 0.125F;
  for (const std::string spec : {"lab", "laq, bits: 2", "laq, bits: 4", "laq, bits: 2, solver: exact"}) {
    const Values one = Tensor(spec, w, d).used();
    const Values other = Tensor(spec, w, scaled).used();
    for (std::size_t i = 0; i < w.size(); ++i)
      CHECK(wide(one[i]) == doctest::Approx(wide(other[i])).epsilon(1e-6));
  }
}

TEST_CASE("loss-aware: the accumulator averages squared gradients at the weights, from zero") {
  for (const std::string spec : {"lab", "laq, bits: 2, solver: exact"}) {
    Tensor own(spec + ", curvature: accumulator", kWeights, kEven);
    CHECK_FALSE(own.method->wants_second_moment());
    CHECK(own.used() == Tensor(spec, kWeights).used());
    Values v(6, 0.0F);
    for (std::uint32_t step = 0; step < 3; ++step) {
      const Values g = draw(6, 40 + step);
      Values gu(6);
      own.method->pulled(own.u, own.u, g, own.context, gu);
      CHECK(gu == g);
      for (std::size_t i = 0; i < 6; ++i) v[i] = 0.999F * v[i] + 0.001F * g[i] * g[i];
    }
    const auto state = own.method->state();
    CHECK(Values(state.front().begin(), state.front().end()) == v);
    Tensor given(spec, kWeights);
    CHECK(given.method->wants_second_moment());
    given.context.second_moment = v;
    CHECK(own.used() == given.used());
  }
}

TEST_CASE("loss-aware: latents are clipped after the step") {
  for (const std::string name : {"lab", "laq"}) {
    Tensor clipped(name, {-3, 0.2F, 1.5F});
    clipped.method->settled(clipped.u, {});
    CHECK(clipped.u == Values{-1, 0.2F, 1});
    Tensor narrow(name + ", clip: 0.1", {-3, 0.2F, 1.5F});
    narrow.method->settled(narrow.u, {});
    CHECK(narrow.u == Values{-0.1F, 0.1F, 0.1F});
    Tensor free(name + ", clip: 0", {-3, 0.2F, 1.5F});
    free.method->settled(free.u, {});
    CHECK(free.u == Values{-3, 0.2F, 1.5F});
  }
}

TEST_CASE("loss-aware: overflown curvature leaves weights finite") {
  const float infinite = std::numeric_limits<float>::infinity();
  for (const std::string spec : {"lab", "laq, bits: 2, solver: exact", "laq"}) {
    Tensor tensor(spec, kWeights);
    tensor.second_moment = {infinite, 0, 1e30F, 1, infinite, 0};
    tensor.context.second_moment = tensor.second_moment;
    for (const float value : tensor.used()) CHECK(std::isfinite(value));
  }
}

TEST_CASE("laq: ternary, known answers") {
  const Values even = Tensor("laq, bits: 2, solver: exact", kWeights, kEven).used();
  check_levels(even, 0.8, {1, -1, 0, 0, 0, 0});
  CHECK(std::abs(objective(kWeights, kEven, even) - 0.1225) < 1e-6);
  const Values uneven = Tensor("laq, bits: 2, solver: exact", kWeights, kUneven).used();
  check_levels(uneven, 0.3441860, {1, -1, 1, 1, 0, 0});
  CHECK(std::abs(objective(kWeights, kUneven, uneven) - 0.0366773) < 1e-6);

  for (const std::string rule : {"least_squares", "code"}) {
    const std::string spec = "laq, bits: 2, alpha_step: " + rule;
    const Values local = Tensor(spec, kWeights, kEven).from(signs(kWeights, 1)).used();
    check_levels(local, 0.5625, {1, -1, 1, 1, 0, 0});
    CHECK(std::abs(objective(kWeights, kEven, local) - 0.1296875) < 1e-6);
    const Values weighed = Tensor(spec, kWeights, kUneven).from(signs(kWeights, 1)).used();
    check_levels(weighed, 0.3441860, {1, -1, 1, 1, 0, 0});
  }
}

TEST_CASE("laq: three bits, known answers") {
  const auto objective_of = [](const std::string& rule) {
    const std::string spec = "laq, bits: 3, iterations: 100, tolerance: 0, alpha_step: " + rule;
    const Values w = Tensor(spec, kWeights, kEven).from(signs(kWeights, 3)).used();
    return std::pair(largest(w), objective(kWeights, kEven, w));
  };
  const auto [code_alpha, code_objective] = objective_of("code");
  CHECK(std::abs(code_alpha - 0.563636) < 1e-6);
  CHECK(std::abs(code_objective - 0.0741804) < 1e-6);
  const auto [alpha, value] = objective_of("least_squares");
  CHECK(std::abs(alpha - 0.8175) < 1e-6);
  CHECK(std::abs(value - 0.0199375) < 1e-6);
}

// The optima over all b, found by brute force, are where the alternation stays when it starts there.
TEST_CASE("laq: three bits, optima are fixed points") {
  struct Row {
    std::string levels;
    Values d;
    double alpha, objective;
    std::vector<double> b;  // empty: only alpha and objective are known
  };
  const double third = 1.0 / 3;
  const std::vector<Row> rows = {
      {"linear", kEven, 0.95, 0.0104167, {1, -2 * third, third, third, 0, 0}},
      {"linear", kUneven, 0.9473684, 0.0071645, {}},
      {"logarithmic", kEven, 0.760976, 0.0205488, {1, -1, 0.5, 0.5, -0.25, 0}},
      {"logarithmic", kUneven, 0.6458716, 0.0071915, {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.levels);
    const bool linear = row.levels == "linear";
    const std::vector<double> levels = linear
                                           ? std::vector{-1.0, -2 * third, -third, 0.0, third, 2 * third, 1.0}
                                           : std::vector{-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0};
    const Fitted best = brute_force(kWeights, row.d, levels);
    CHECK(std::abs(best.alpha - row.alpha) < 1e-6);
    CHECK(std::abs(best.objective - row.objective) < 1e-7);
    if (!row.b.empty()) check_levels(best.w, row.alpha, row.b);
    Values codes = best.w;
    for (float& code : codes)
      code = static_cast<float>(std::round(12 * wide(code) / best.alpha) / (linear ? 4 : 12));
    const Values w = Tensor("laq, bits: 3, levels: " + row.levels, kWeights, row.d).from(codes).used();
    for (std::size_t i = 0; i < w.size(); ++i) CHECK(std::abs(wide(w[i]) - wide(best.w[i])) < 1e-6);
  }
}

TEST_CASE("laq: the exact solver finds the optimum that brute force finds") {
  for (std::uint32_t key = 0; key < 200; ++key) {
    const std::size_t size = 1 + key % 7;
    Values w = draw(size, key);
    const Values d = key % 3 == 0 ? Values(size, 1.0F) : draw_curvature(size, key);
    if (key % 5 == 0) w[0] = w.back();  // equal magnitudes
    if (key % 11 == 0) w[0] = 0;
    const Fitted best = brute_force(w, d, {-1, 0, 1});
    CAPTURE(key);
    CHECK(objective(w, d, Tensor("laq, bits: 2, solver: exact", w, d).used()) ==
          doctest::Approx(best.objective).epsilon(2e-6));
    const double approximate = objective(w, d, Tensor("laq, bits: 2", w, d).used());
    CHECK(approximate >= best.objective - 1e-6);
  }
}

TEST_CASE("laq: alternation with the least-squares step never raises the objective") {
  const Values w = draw(500, 3);
  const Values d = draw_curvature(500, 3);
  for (const std::string levels : {"linear", "logarithmic"}) {
    for (const int bits : {2, 3, 4}) {
      double before = std::numeric_limits<double>::infinity();
      for (int iterations = 1; iterations <= 40; ++iterations) {
        const auto spec =
            fmt::format("laq, bits: {}, levels: {}, tolerance: 0, iterations: {}", bits, levels, iterations);
        const double after = objective(w, d, Tensor(spec, w, d).used());
        CHECK(after <= before * (1 + 1e-7));
        before = after;
      }
    }
  }
}

TEST_CASE("laq: each step goes on from the one before") {
  const Values w = draw(300, 4);
  Tensor steps("laq, bits: 3, iterations: 1", w);
  for (int step = 0; step < 5; ++step) steps.used();
  CHECK(steps.used() == Tensor("laq, bits: 3, iterations: 6, tolerance: 0", w).used());
  // To evaluate, one more, and none is counted.
  const Values seventh = Tensor("laq, bits: 3, iterations: 7, tolerance: 0", w).used();
  CHECK(steps.final() == seventh);
  CHECK(steps.final() == seventh);
  CHECK(steps.used() == seventh);
}

TEST_CASE("laq: a start of opposite signs is given up for the threshold") {
  Tensor fresh("laq, bits: 3", kWeights, kEven);
  Tensor turned("laq, bits: 3", kWeights, kEven);
  Values codes = signs(kWeights, -3);
  CHECK(turned.from(codes).used() == fresh.used());
}

TEST_CASE("laq: weights already on the grid stay, whichever level is the highest taken") {
  for (const std::string spec : {"laq, bits: 4", "laq, bits: 8", "laq, bits: 4, levels: logarithmic"}) {
    const bool linear = spec.find("log") == std::string::npos;
    const Values w =
        linear ? Values{0.1F, -0.3F, 0.5F, 0, 0.1F, -0.2F} : Values{0.1F, -0.4F, 0.05F, 0, 0.2F, -0.2F};
    const Values used = Tensor(spec, w).used();
    for (std::size_t i = 0; i < w.size(); ++i) CHECK(std::abs(used[i] - w[i]) < 1e-7F);
  }
}

TEST_CASE("laq: two scales are two fits") {
  const Values w = draw(40, 5);
  const Values d = draw_curvature(40, 5);
  for (const std::string solver : {"approximate", "exact"}) {
    CAPTURE(solver);
    const std::string spec = "laq, bits: 2, solver: " + solver;
    Tensor two(spec + ", scales: two", w, d);
    const Values both = two.used();
    for (const bool negative : {false, true}) {
      Values part, weights;
      std::vector<std::size_t> members;
      for (std::size_t i = 0; i < w.size(); ++i)
        if ((w[i] < 0) == negative) members.push_back(i);
      for (const std::size_t i : members) {
        part.push_back(w[i]);
        weights.push_back(d[i]);
      }
      const Values alone = Tensor(spec, part, weights).used();
      for (std::size_t i = 0; i < members.size(); ++i) CHECK(both[members[i]] == alone[i]);
    }
    Values codes(40), scales(1);
    CHECK_FALSE(two.method->codes(both, codes, scales));
    CHECK_FALSE(two.method->code_range());
    CHECK(objective(w, d, both) <= objective(w, d, Tensor(spec, w, d).used()) + 1e-9);
  }
  Tensor equal("laq, bits: 2, scales: two", {0.5F, -0.5F, 0.5F});
  Values codes(3), scales(1);
  const Values w3 = equal.used();
  REQUIRE(equal.method->codes(w3, codes, scales));
  CHECK(codes == Values{1, -1, 1});
  CHECK(scales[0] == 0.5F);
  // Without a negative weight the other scale is 0.
  CHECK(Tensor("laq, bits: 2, scales: two", {0.5F, 0.5F}).used() == Values{0.5F, 0.5F});
}

TEST_CASE("laq: nearest levels, ties away from zero") {
  const auto codes = [](const LevelGrid& grid, const Values& w) {
    Values result(w.size());
    ScaleFit(grid, {}, w.size()).nearest(w, 1, 1, result);
    return result;
  };
  CHECK(codes({.k = 1}, {0.5F, 0.49F, -0.5F, -0.49F, 2, 0}) == Values{1, 0, -1, 0, 1, 0});
  CHECK(codes({.k = 3}, {0.5F, -0.5F, 0.16F, 0.17F, 1e30F, -0.84F}) == Values{2, -2, 0, 1, 3, -3});
  CHECK(codes({.k = 3, .logarithmic = true}, {1.2F, 0.75F, 0.7499F, -0.375F, 0.3749F, 0.125F, 0.1249F,
                                              -0.0F}) == Values{1, 1, 0.5F, -0.5F, 0.25F, 0.25F, 0, 0});
}

TEST_CASE("laq: codes and where they lie") {
  const Values w = draw(200, 6);
  Values codes(200), scales(1);
  const auto range = [&](const std::string& keys) {
    Tensor tensor("laq, " + keys, w);
    const Values used = tensor.used();
    REQUIRE(tensor.method->codes(used, codes, scales));
    for (std::size_t i = 0; i < 200; ++i) CHECK(codes[i] * scales[0] == used[i]);
    const CodeRange bounds = tensor.method->code_range().value();
    const auto [low, high] = std::ranges::minmax_element(codes);
    CHECK(wide(std::max(-*low, *high)) == bounds.highest);
    CHECK(bounds.lowest == -bounds.highest);
    return bounds.highest;
  };
  CHECK(range("bits: 2") == 1);
  CHECK(range("bits: 4") == 7);
  CHECK(range("bits: 8") == 127);
  CHECK(range("bits: 4, levels: logarithmic") == 64);
  CHECK_FALSE(Tensor("laq, bits: 6, levels: logarithmic", w).method->code_range());
}

TEST_CASE("laq: zero weights, in part or all") {
  for (const std::string spec : {"laq, bits: 2", "laq, bits: 2, solver: exact", "laq, bits: 2, scales: two",
                                 "laq, bits: 4", "laq, bits: 4, levels: logarithmic"}) {
    CHECK(Tensor(spec, {0, -0.0F, 0}).used() == Values{0, 0, 0});
    Tensor tensor(spec, {0, 0, 0.3F, 0});
    CHECK(tensor.used() == Values{0, 0, 0.3F, 0});
    // All at once zero after a step, and back.
    tensor.u = {0, 0, 0, 0};
    CHECK(tensor.used() == Values{0, 0, 0, 0});
    tensor.u = {0, -0.6F, 0, 0};
    CHECK(tensor.used() == Values{0, -0.6F, 0, 0});
  }
}

TEST_CASE("laq: combinations that are refused") {
  const auto mistakes = [](const std::string& keys) {
    return mistakes_of<WeightSpec>("{method: laq, " + keys + "}");
  };
  CHECK(mistakes("bits: 2, solver: exact, scales: two").empty());
  CHECK(mistakes("bits: 3, solver: exact").find("solver: is exact, must be approximate") !=
        std::string::npos);
  CHECK(mistakes("bits: 3, scales: two").find("scales: is two, must be one") != std::string::npos);
  CHECK_FALSE(mistakes("bits: 1").empty());
  CHECK_FALSE(mistakes("bits: 9").empty());
}

}  // namespace qtrain::quant
