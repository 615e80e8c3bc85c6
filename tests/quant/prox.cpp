// ProxQuant, lazy prox and BinaryRelax: closed forms, known trajectories and the methods they become in the
// limit.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "base/random.hpp"
#include "quant/alternating_codes.hpp"
#include "quant/projections.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;

std::unique_ptr<WeightMethod> make(const std::string& keys, const Shape& shape) {
  return read_spec<WeightSpec>("{method: " + keys + "}").make({"w", shape});
}

WeightContext at_step(std::int64_t step, double learning_rate = 0, std::int64_t steps_per_epoch = 1) {
  WeightContext context;
  context.step = step;
  context.steps_per_epoch = steps_per_epoch;
  context.learning_rate = learning_rate;
  return context;
}

void check_near(const Values& values, const std::vector<double>& expected, double tolerance = 1e-6) {
  REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(static_cast<double>(values[i]) - expected[i]) < tolerance);
  }
}

Values used(WeightMethod& method, const Values& u, const WeightContext& context = {}) {
  Values w(u.size());
  method.used(u, context, w);
  return w;
}

Values final_of(WeightMethod& method, const Values& u) {
  Values w(u.size());
  method.final(u, {}, w);
  return w;
}

Values settled(WeightMethod& method, Values u, const WeightContext& context) {
  method.settled(u, context);
  return u;
}

/// One weight under plain gradient descent.
struct Descent {
  std::unique_ptr<WeightMethod> method;
  WeightContext context;
  float u = 0;

  /// One step for the loss gradient `slope` at w; returns w.
  template <class Slope>
  float step(Slope slope) {
    float w = 0, gu = 0;
    method->used({&u, 1}, context, {&w, 1});
    const float gw = slope(w);
    method->pulled({&u, 1}, {&w, 1}, {&gw, 1}, context, {&gu, 1});
    u -= static_cast<float>(context.learning_rate) * gu;
    method->settled({&u, 1}, context);
    ++context.step;
    return w;
  }
};

Descent descent(const std::string& keys, double rate, float u) {
  return {.method = make(keys, {1, 1}), .context = at_step(0, rate), .u = u};
}

/// lambda = rate for as long as a test lasts: the epoch stays 1.
Descent constant_lambda(const std::string& keys, double rate, float u) {
  Descent result = descent(keys, rate, u);
  result.context.steps_per_epoch = 1'000'000;
  result.context.step = 1'000'000;
  return result;
}

Values random_values(std::size_t size, float deviation) {
  RandomStream random(2, Purpose::test);
  Values values(size);
  for (float& value : values) value = deviation * random.normal();
  return values;
}

}  // namespace

TEST_CASE("prox: closed forms of the binary regularizers") {
  const auto l1 = [](float theta, double kappa) { return static_cast<double>(prox_l1(theta, kappa)); };
  CHECK(l1(0.3F, 0.2) == doctest::Approx(0.5).epsilon(1e-7));
  CHECK(l1(-0.3F, 0.2) == doctest::Approx(-0.5).epsilon(1e-7));
  CHECK(l1(0.3F, 0.8) == 1);
  CHECK(l1(1.5F, 0.2) == doctest::Approx(1.3).epsilon(1e-7));
  CHECK(l1(1.05F, 0.2) == 1);
  CHECK(l1(-2, 0.5) == -1.5);
  CHECK(l1(1, 0.3) == 1);
  CHECK(prox_l1(-0.7F, 0) == -0.7F);
  CHECK(prox_l1(1e-20F, 0) == 1e-20F);
  CHECK(l1(-0.0F, 0.25) == 0.25);
  CHECK(l1(-1e30F, 1) == doctest::Approx(-1e30));
  CHECK(l1(-1e30F, std::numeric_limits<double>::infinity()) == -1);

  const auto l2 = [](float theta, double kappa) {
    return static_cast<double>(prox_l2(theta, sign_of(theta), kappa));
  };
  CHECK(l2(0.3F, 0.2) == doctest::Approx(0.4166667).epsilon(1e-7));
  CHECK(l2(-0.3F, 1) == doctest::Approx(-0.65).epsilon(1e-7));
  CHECK(l2(1.5F, 1) == 1.25);
  CHECK(l2(-2, 3) == -1.25);
  CHECK(l2(-2, std::numeric_limits<double>::infinity()) == -1);
}

// argmin over x of (x - theta)^2 / 2 + kappa R(x), on a grid.
TEST_CASE("prox: the closed forms are the minima they stand for") {
  RandomStream random(4, Purpose::test);
  for (int draw = 0; draw < 20; ++draw) {
    const double theta = static_cast<double>(random.uniform(-2.5F, 2.5F));
    const double kappa = static_cast<double>(random.uniform(0, 1.5F));
    double best_l1 = 0, best_l2 = 0, least_l1 = 1e9, least_l2 = 1e9;
    for (int k = -30'000; k <= 30'000; ++k) {
      const double x = k * 1e-4;
      const double distance = std::abs(std::abs(x) - 1);
      const double near = (x - theta) * (x - theta) / 2;
      if (near + kappa * distance < least_l1) least_l1 = near + kappa * distance, best_l1 = x;
      if (near + kappa * distance * distance / 2 < least_l2)
        least_l2 = near + kappa * distance * distance / 2, best_l2 = x;
    }
    const auto u = static_cast<float>(theta);
    CHECK(std::abs(static_cast<double>(prox_l1(u, kappa)) - best_l1) < 1.01e-4);
    CHECK(std::abs(static_cast<double>(prox_l2(u, sign_of(u), kappa)) - best_l2) < 1.01e-4);
  }
}

TEST_CASE("projections: both ternary level sets") {
  const Values w = {-1, -0.2F, 0.1F, 0.6F, 1.5F};
  Values q(w.size());
  asymmetric_ternary_projection(w, q);
  check_near(q, {-1, 0, 0, 1.05, 1.05});
  ternary_projection(w, q);
  check_near(q, {-1.033333, 0, 0, 1.033333, 1.033333});

  Values zeros = {0, -0.0F, 0};
  asymmetric_ternary_projection(zeros, zeros);
  CHECK(zeros == Values{0, 0, 0});
  ternary_projection(zeros, zeros);
  CHECK(zeros == Values{0, 0, 0});
  Values equal = {2, 2};
  asymmetric_ternary_projection(equal, equal);
  CHECK(equal == Values{2, 2});
}

TEST_CASE("prox_quant: ternary prox, one and two rounds") {
  const Values w = {-1, -0.2F, 0.1F, 0.6F, 1.5F};
  const WeightContext context = at_step(1, 0.5);
  for (const char* rounds : {"1", "2"}) {
    const auto method =
        make(std::string("prox_quant, levels: ternary, rate: 1, homotopy: step, clip: 0, rounds: ") + rounds,
             {1, 5});
    check_near(settled(*method, w, context), {-1, -0.133333, 0.066667, 0.75, 1.35});
    check_near(final_of(*method, w), {-1, 0, 0, 1.05, 1.05});
  }
  const auto twice = make(
      "prox_quant, levels: ternary, rate: 1, homotopy: step, clip: 0, rounds: 1, convention: twice", {1, 5});
  check_near(settled(*twice, w, context), {-1, -0.1, 0.05, 0.825, 1.275});
}

TEST_CASE("alternating codes: known scales, and an error that never rises") {
  const Values w = {0.1F, 0.9F, 1, 4, -0.5F, -2};
  const auto error = [&](const Values& weights, int bits, int refinements, Values& q) {
    q.resize(weights.size());
    alternating(weights, bits, refinements, q);
    double sum = 0;
    for (std::size_t i = 0; i < q.size(); ++i)
      sum += std::pow(static_cast<double>(weights[i]) - static_cast<double>(q[i]), 2);
    return sum;
  };
  Values q;
  CHECK(error(w, 1, 0, q) == doctest::Approx(10.028333).epsilon(1e-7));
  check_near(q, {1.416667, 1.416667, 1.416667, 1.416667, -1.416667, -1.416667});
  CHECK(error(w, 2, 0, q) == doctest::Approx(3.343148).epsilon(1e-6));
  for (const int refinements : {1, 2, 5}) {
    CHECK(error(w, 2, refinements, q) == doctest::Approx(2.5075).epsilon(1e-6));
    check_near(q, {0.625, 0.625, 0.625, 3, -0.625, -3});
  }
  const Values many = random_values(300, 0.7F);
  for (int bits = 1; bits <= 4; ++bits) {
    double before = error(many, bits, 0, q);
    for (int refinements = 1; refinements < 6; ++refinements) {
      const double now = error(many, bits, refinements, q);
      CHECK(now <= before * (1 + 1e-6));
      before = now;
    }
  }
}

TEST_CASE("prox_quant: multi-bit levels are one codebook a row") {
  const Values u = {0.1F, 0.9F, 1, 4, -0.5F, -2, 1, 2, 3, 4, 5, 6};
  const auto method = make("prox_quant, levels: multi_bit, bits: 2, clip: 0, rounds: 1, rate: 1", {2, 6});
  const Values q = final_of(*method, u);
  const std::vector<double> first_row = {0.625, 0.625, 0.625, 3, -0.625, -3};
  check_near(Values(q.begin(), q.begin() + 6), first_row);
  const Values moved = settled(*method, u, at_step(1, 1));
  for (std::size_t i = 0; i < 6; ++i)
    CHECK(static_cast<double>(moved[i]) ==
          doctest::Approx((static_cast<double>(u[i]) + first_row[i]) / 2).epsilon(1e-6));
}

// With three bits and more the greedy start need not find B of a quantized row again, so that weights already
// frozen must not be quantized anew.
TEST_CASE("prox_quant: three and four bits") {
  for (const int bits : {3, 4}) {
    CAPTURE(bits);
    const auto method =
        make("prox_quant, levels: multi_bit, freeze_epoch: 1, bits: " + std::to_string(bits), {3, 100});
    CHECK(method->bits() == bits);
    CHECK(method->scale_count() == 3);
    const Values q = settled(*method, random_values(300, 0.3F), at_step(0, 0.1));
    for (std::ptrdiff_t row = 0; row < 3; ++row)
      CHECK(std::set<float>(q.begin() + 100 * row, q.begin() + 100 * (row + 1)).size() <= 1U << bits);
    Values frozen(300), anew(300);
    method->final(q, at_step(1), frozen);
    method->final(q, at_step(0), anew);
    CHECK(frozen == q);
    CHECK(anew != q);
    for (const float factor : {0.0F, 1e-30F, 1e30F}) {
      const Values scaled = final_of(*method, random_values(300, factor));
      CHECK(std::ranges::all_of(scaled, [](float value) { return std::isfinite(value); }));
    }
  }
}

// Losses |w + 1/2| and |w - 1/2| restricted to {-1, +1} have their minima at -1 and +1. From 0.25 on the
// first: .25, .15, .051, -.051, -.154, -.258.
TEST_CASE("prox_quant: tells two losses with opposite minima apart") {
  const std::string keys = "prox_quant, homotopy: step, rate: 0.01";
  const auto slope = [](float centre) { return [centre](float w) { return w > centre ? 1.0F : -1.0F; }; };
  Descent start = descent(keys, 0.1, 0.25F);
  for (const double expected : {0.15, 0.051, -0.051, -0.154, -0.258}) {
    start.step(slope(-0.5F));
    CHECK(std::abs(static_cast<double>(start.u) - expected) < 1e-6);
  }
  for (const float begin : {0.25F, -0.25F, 0.9F, -0.9F}) {
    for (const float centre : {-0.5F, 0.5F}) {
      CAPTURE(begin);
      CAPTURE(centre);
      Descent one = descent(keys, 0.1, begin);
      for (int step = 0; step < 1000; ++step) one.step(slope(centre));
      CHECK(one.u == (centre < 0 ? -1.0F : 1.0F));
    }
  }
}

// Loss w^2 / 2, rate 1/2, lambda 0.3: the lazy method oscillates with amplitude lambda rate / (2 - rate) = .1
// from anywhere; the other one tends to lambda, halving its distance each step.
TEST_CASE("lazy_prox oscillates where prox_quant converges") {
  const auto slope = [](float w) { return w; };
  Descent lazy = constant_lambda("lazy_prox, rate: 0.3", 0.5, 0.1F);
  for (int step = 0; step < 20; ++step) {
    const float w = lazy.step(slope);
    CHECK(std::abs(static_cast<double>(w) - (step % 2 == 0 ? 0.4 : -0.4)) < 1e-6);
    CHECK(std::abs(static_cast<double>(lazy.u) - (step % 2 == 0 ? -0.1 : 0.1)) < 1e-6);
  }
  for (const float begin : {0.05F, 0.2F, 0.37F, 0.9F}) {
    CAPTURE(begin);
    Descent one = constant_lambda("lazy_prox, rate: 0.3", 0.5, begin);
    for (int step = 0; step < 100; ++step) one.step(slope);
    const float last = one.u;
    CHECK(std::abs(static_cast<double>(std::abs(last)) - 0.1) < 1e-6);
    one.step(slope);
    CHECK(std::abs(static_cast<double>(one.u + last)) < 1e-6);
  }

  Descent prox = constant_lambda("prox_quant, rate: 0.3", 0.5, 0.1F);
  for (const double expected : {0.2, 0.25, 0.275, 0.2875}) {
    prox.step(slope);
    CHECK(std::abs(static_cast<double>(prox.u) - expected) < 1e-6);
  }
  for (int step = 0; step < 40; ++step) prox.step(slope);
  CHECK(std::abs(static_cast<double>(prox.u) - 0.3) < 1e-6);
}

// Loss (w - c)^2 / 2, rate 0.1, u_0 = 0.4: mean w = c - (u_T - u_0) / (0.1 T) while nothing is clipped.
TEST_CASE("lazy_prox, binary_connect: mean weight on a quadratic") {
  for (const std::string keys : {"lazy_prox, rate: 1", "binary_connect"}) {
    for (const auto& [centre, expected] : {std::pair{0.3F, 0.304}, {-0.75F, -0.746}, {1.5F, 1.0}}) {
      CAPTURE(centre);
      Descent one = constant_lambda(keys, 0.1, 0.4F);
      double sum = 0;
      for (int step = 0; step < 1000; ++step)
        sum += static_cast<double>(one.step([c = centre](float w) { return w - c; }));
      CHECK(sum / 1000 == doctest::Approx(expected).epsilon(1e-6));
    }
  }
}

TEST_CASE("lazy_prox with l1 and lambda >= 1 is binary_connect, bit for bit") {
  const auto lazy = make("lazy_prox, rate: 1", {10, 20});
  const auto connect = make("binary_connect", {10, 20});
  Values u_lazy = random_values(200, 0.5F);
  lazy->settled(u_lazy, {});  // |u| <= 1
  u_lazy[0] = 0.0F;
  u_lazy[1] = -0.0F;
  Values u_connect = u_lazy;
  WeightContext context = at_step(0, 0.1);
  for (int step = 1; step < 6; ++step) {
    context.step = step;
    const Values w_lazy = used(*lazy, u_lazy, context);
    const Values w_connect = used(*connect, u_connect, context);
    CHECK(w_lazy == w_connect);
    Values gu(200);
    for (auto* pair : {&u_lazy, &u_connect}) {
      WeightMethod& method = pair == &u_lazy ? *lazy : *connect;
      method.pulled(*pair, w_lazy, random_values(200, 1), context, gu);
      for (std::size_t i = 0; i < gu.size(); ++i) (*pair)[i] -= 0.1F * gu[i];
      method.settled(*pair, context);
    }
    CHECK(u_lazy == u_connect);
  }
  CHECK(final_of(*lazy, u_lazy) == final_of(*connect, u_connect));
}

TEST_CASE("prox_quant with kappa >= 1 is projected gradient descent") {
  Values u = random_values(100, 0.3F);
  for (float& value : u) value = std::clamp(value, -1.0F, 1.0F);
  u[0] = -0.0F;
  const auto method = make("prox_quant, rate: 10", {10, 10});
  const Values moved = settled(*method, u, at_step(1, 0.1));
  for (std::size_t i = 0; i < u.size(); ++i) CHECK(moved[i] == sign_of(u[i]));
}

TEST_CASE("prox_quant: runs on the latent weights, and what lambda counts") {
  const Values u = {0.25F, -0.5F};
  WeightContext context = at_step(25, 0.5, 10);
  context.base_learning_rate = 1;
  const auto moved = [&](const std::string& keys) {
    return settled(*make("prox_quant, rate: 0.0625" + keys, {1, 2}), u, context);
  };
  CHECK(used(*make("prox_quant", {1, 2}), u, context) == u);
  CHECK(moved("") == Values{0.3125F, -0.5625F});                   // kappa = 0.5 * 0.0625 * 2
  CHECK(moved(", adjust_rate: true") == Values{0.375F, -0.625F});  // 1 * 0.0625 * 2
  CHECK(moved(", homotopy: step") == Values{1, -1});               // 0.5 * 0.0625 * 25 = 0.78
  CHECK(moved(", homotopy: step, clip: 0.5") == Values{0.5F, -0.5F});
  CHECK(moved(", homotopy: constant") == Values{0.28125F, -0.53125F});  // 0.5 * 0.0625
  Values codes(2), scales(1);
  CHECK_FALSE(make("prox_quant", {1, 2})->codes(u, codes, scales));
  CHECK_FALSE(make("prox_quant", {1, 2})->code_range().has_value());
}

TEST_CASE("prox_quant: frozen weights stay, whatever the optimizer does") {
  for (const std::string levels : {"binary", "ternary", "multi_bit"}) {
    CAPTURE(levels);
    const std::string keys = "prox_quant, freeze_epoch: 2, levels: " + levels;
    const auto method = make(keys, {2, 20});
    WeightContext context = at_step(18, 0.1, 10);
    const Values start = random_values(40, 0.3F);
    Values u = settled(*method, start, context);
    CHECK(u != final_of(*method, u));
    context.step = 19;  // the last step of epoch 2
    const Values expected = final_of(*method, u);
    u = settled(*method, u, context);
    const Values frozen = u;
    // rate * lambda of epoch 1 moves u a little before it is quantized
    for (std::size_t i = 0; i < u.size(); ++i)
      CHECK(std::abs(static_cast<double>(frozen[i] - expected[i])) < 1e-4);
    const auto resumed = make(keys, {2, 20});
    for (context.step = 20; context.step < 24; ++context.step) {
      WeightMethod& one = context.step < 22 ? *method : *resumed;
      CHECK(used(one, u, context) == frozen);
      Values gu(40, 1);
      one.pulled(u, u, random_values(40, 1), context, gu);
      CHECK(gu == Values(40, 0));
      for (float& value : u) value = 0.9F * value + 0.01F;  // momentum and decay
      WeightContext evaluation = context;
      evaluation.evaluation = true;
      CHECK(used(one, u, evaluation) == u);  // and it must not become what is kept
      one.settled(u, context);
      CHECK(u == frozen);
      Values last(40);
      one.final(u, context, last);
      CHECK(last == frozen);
    }
  }
}

TEST_CASE("binary_relax: known blends, and scaled signs in the limit") {
  const Values u = {0.5F, -1.5F, 2};
  const auto at_lambda = [&](const std::string& lambda) {
    return used(*make("binary_relax, start: " + lambda, {1, 3}), u);
  };
  check_near(at_lambda("1"), {0.916667, -1.416667, 1.666667});
  check_near(at_lambda("4"), {1.166667, -1.366667, 1.466667});
  const Values projected = used(*make("binary_relax, growth: 1.0e+100", {1, 3}), u, at_step(10));
  const auto scale = static_cast<float>(4.0 / 3);
  CHECK(projected == Values{scale, -scale, scale});
  CHECK(final_of(*make("binary_relax", {1, 3}), u) == projected);
  CHECK(used(*make("binary_relax, relax_epochs: 3", {1, 3}), u, at_step(3)) == projected);
  CHECK(used(*make("binary_relax, relax_epochs: 3", {1, 3}), u, at_step(2)) != projected);
  CHECK(used(*make("binary_relax, start: 0", {1, 3}), u) == u);
}

TEST_CASE("binary_relax: lambda grows with the epoch") {
  const Values u = {0.5F, -1.5F, 2};
  const WeightContext context = at_step(29, 0, 10);
  CHECK(used(*make("binary_relax, start: 1, growth: 2", {1, 3}), u, context) ==
        used(*make("binary_relax, start: 4", {1, 3}), u));
}

TEST_CASE("binary_relax: codes exist where weights are projected, one scale a tensor or a channel") {
  const Values u = {0.5F, -1.5F, 2, 0.1F, 0, -0.2F};
  Values codes(6), scales(2);
  const auto relaxed = make("binary_relax, scale: channel", {2, 3});
  CHECK_FALSE(relaxed->codes(used(*relaxed, u), codes, scales));
  CHECK_FALSE(relaxed->code_range().has_value());
  REQUIRE(relaxed->codes(final_of(*relaxed, u), codes, scales));
  CHECK(codes == Values{1, -1, 1, 1, 1, -1});
  CHECK(scales == Values{static_cast<float>(4.0 / 3), 0.1F});
  const auto ternary = make("binary_relax, levels: ternary, scale: channel", {2, 3});
  REQUIRE(ternary->codes(final_of(*ternary, u), codes, scales));
  CHECK(codes == Values{0, -1, 1, 1, 0, -1});
  CHECK(scales[0] == 1.75F);
  const Values of_all =
      final_of(*make("binary_relax, levels: ternary, mean_over: all", {1, 3}), {0.5F, -1.5F, 2});
  CHECK(of_all == Values{0, static_cast<float>(-3.5 / 3), static_cast<float>(3.5 / 3)});
  const auto whole = make("binary_relax, levels: ternary", {2, 3});
  CHECK(whole->scale_count() == 1);
  REQUIRE(whole->codes(final_of(*whole, u), codes, std::span(scales).first(1)));
  CHECK(codes == Values{0, -1, 1, 0, 0, 0});
}

}  // namespace qtrain::quant
