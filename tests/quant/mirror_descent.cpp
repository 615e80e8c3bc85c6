// gd_tanh, md_tanh, md_softmax (both forms) and pmf: known trajectories, equivalences, derivatives.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/random.hpp"
#include "quant/simplex.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;

/// Trains a few weights with one method; hooks called as the trainer calls them.
struct Training {
  std::unique_ptr<WeightMethod> method;
  Values u, w, gu, m, v;
  WeightContext context;
  bool adam = false;

  Training(const std::string& spec, const Values& initial)
      : method(read_spec<WeightSpec>("{method: " + spec + "}").make({"w", {1, std::ssize(initial)}})),
        u(initial.size() * method->latents_per_weight()),
        w(initial.size()),
        gu(u.size()),
        m(u.size()),
        v(u.size()) {
    method->initialize(initial, u);
  }
  const Values& used() {
    method->used(u, context, w);
    return w;
  }
  /// gu for the gradients gw at the present u.
  const Values& pulled(const Values& gw) {
    used();
    method->pulled(u, w, gw, context, gu);
    return gu;
  }
  /// One step for a loss with derivative slope(i, w_i) to each weight.
  void step(float rate, const std::function<float(std::size_t, float)>& slope) {
    used();
    Values gw(w.size());
    for (std::size_t i = 0; i < w.size(); ++i) gw[i] = slope(i, w[i]);
    method->pulled(u, w, gw, context, gu);
    for (std::size_t i = 0; i < u.size(); ++i) u[i] -= rate * direction(i);
    method->settled(u, context);
    ++context.step;
  }

 private:
  float direction(std::size_t i) {
    if (!adam) return gu[i];
    const auto t = static_cast<float>(context.step + 1);
    m[i] = 0.9F * m[i] + 0.1F * gu[i];
    v[i] = 0.999F * v[i] + 0.001F * gu[i] * gu[i];
    return m[i] / (1 - std::pow(0.9F, t)) / (std::sqrt(v[i] / (1 - std::pow(0.999F, t))) + 1e-8F);
  }
};

Values final_of(Training& training) {
  Values w(training.w.size());
  training.method->final(training.u, training.context, w);
  return w;
}

double used_weight(const std::string& spec, float u) {
  return static_cast<double>(Training(spec, {u}).used()[0]);
}
double pulled_weight(const std::string& spec, float u) {
  return static_cast<double>(Training(spec, {u}).pulled({1})[0]);
}

/// dw/du_l of the only weight by differences of fourth order.
double difference(Training& training, std::size_t l, float h) {
  const float centre = training.u[l];
  const auto at = [&](float shift) {
    training.u[l] = centre + shift;
    return static_cast<double>(training.used()[0]);
  };
  const double slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * static_cast<double>(h));
  training.u[l] = centre;
  return slope;
}

double largest_difference(const Values& a, const Values& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, static_cast<double>(std::abs(a[i] - b[i])));
  return most;
}

Values draw(std::size_t size, std::uint32_t key) {
  RandomStream random(5, Purpose::test, key);
  Values values(size);
  for (float& value : values) value = random.normal();
  return values;
}

const float kArtanhFifth = std::atanh(0.2F);
const std::string kDoubling = "beta_growth: 2, beta_interval: 1";

}  // namespace

TEST_CASE("annealing: beta grows before step 1 and after each interval, up to its limit") {
  Annealing annealing;
  const auto beta = [&](std::int64_t step) { return annealing.beta(step); };
  CHECK(beta(0) == 1);
  CHECK(beta(1) == 1.02);
  CHECK(beta(200) == 1.02);
  CHECK(beta(201) == doctest::Approx(1.0404).epsilon(1e-12));
  CHECK(beta(400) == doctest::Approx(1.0404).epsilon(1e-12));
  CHECK(beta(401) == doctest::Approx(1.061208).epsilon(1e-12));
  CHECK(beta(1'000'000'000'000) == 1e35);
  annealing = {.growth = 2, .interval = 1, .start = 0.5, .limit = 3};
  CHECK(beta(0) == 0.5);
  CHECK(beta(2) == 2);
  CHECK(beta(3) == 3);
  CHECK(beta(1'000'000) == 3);
}

TEST_CASE("annealing: mistakes") {
  const auto mistakes = [](const std::string& keys) {
    return mistakes_of<WeightSpec>("{method: md_tanh_s, " + keys + "}");
  };
  CHECK(mistakes("beta_start: 1, beta_limit: 1").empty());
  CHECK(mistakes("beta_start: 2, beta_limit: 1").find("must be at most beta_limit") != std::string::npos);
  CHECK_FALSE(mistakes("beta_growth: 0.9").empty());
  CHECK_FALSE(mistakes("beta_interval: 0").empty());
  CHECK_FALSE(mistakes("beta_limit: 1.0e+36").empty());
}

// g = 1, eta = 0.1, beta = 1: w_k = tanh(-0.1 k).
TEST_CASE("md_tanh: a constant gradient at beta = 1") {
  for (const std::string name : {"md_tanh", "md_tanh_s", "md_softmax", "md_softmax_s"}) {
    CAPTURE(name);
    Training training(name + ", beta_growth: 1", {0});
    for (const double expected : {0.0, -0.09966799, -0.19737532, -0.29131261, -0.37994896}) {
      CHECK(std::abs(static_cast<double>(training.used()[0]) - expected) < 1e-7);
      training.step(0.1F, [](std::size_t, float) { return 1.0F; });
    }
  }
}

// Loss (w - 0.3)^2 / 2, eta = 0.1, beta = 1, 2, 4, 8, from w = 0.2.
TEST_CASE("md_tanh: under annealing the primal form keeps w, the stable form keeps u") {
  const auto slope = [](std::size_t, float w) { return w - 0.3F; };
  for (const std::string name : {"md_tanh, ", "md_softmax, "}) {
    Training primal(name + kDoubling, {kArtanhFifth});
    for (const double expected : {0.2, 0.20958052, 0.22680295, 0.25438464, 0.28818667}) {
      CHECK(std::abs(static_cast<double>(primal.used()[0]) - expected) < 1e-7);
      primal.step(0.1F, slope);
    }
  }
  for (const std::string name : {"md_tanh_s, ", "md_softmax_s, "}) {
    Training stable(name + kDoubling, {kArtanhFifth});
    for (const double expected : {0.2, 0.40152448, 0.66976698, 0.86797939}) {
      CHECK(std::abs(static_cast<double>(stable.used()[0]) - expected) < 1e-7);
      stable.step(0.1F, slope);
    }
    CHECK(std::abs(static_cast<double>(stable.u.back()) - 0.10880547) < 1e-7);
  }
}

TEST_CASE("md_tanh: at constant beta the primal and the stable form are one") {
  const auto slope = [](std::size_t, float w) { return w - 0.3F; };
  Training primal("md_tanh, beta_growth: 1, beta_start: 2", {kArtanhFifth / 2});
  Training stable("md_tanh_s, beta_growth: 1, beta_start: 2", {kArtanhFifth / 2});
  for (int step = 0; step < 200; ++step) {
    CHECK(primal.used() == stable.used());
    primal.step(0.1F, slope);
    stable.step(0.1F, slope);
  }
  CHECK(static_cast<double>(primal.used()[0]) == doctest::Approx(0.3).epsilon(1e-6));
}

// artanh(w_K) = artanh(w_0) - eta sum_k beta_k g_k for the primal form, beta_K (t_0 - eta sum_k g_k) for the
// other.
TEST_CASE("md_tanh: the dual is the sum of the steps, each times its own beta or all times the last") {
  const std::string keys = ", beta_growth: 1.5, beta_interval: 3";
  const Values g = {0.3F, -0.5F, 0.2F, 0.7F, -0.4F, 0.1F, -0.2F, 0.6F};
  const Annealing annealing{.growth = 1.5, .interval = 3};
  Training primal("md_tanh" + keys, {0.1F});
  Training stable("md_tanh_s" + keys, {0.1F});
  double by_step = 0.1, sum = 0.1;
  for (std::size_t k = 0; k < g.size(); ++k) {
    const auto slope = [&](std::size_t, float) { return g[k]; };
    primal.step(0.1F, slope);
    stable.step(0.1F, slope);
    by_step -= 0.1 * annealing.beta(static_cast<std::int64_t>(k)) * static_cast<double>(g[k]);
    sum -= 0.1 * static_cast<double>(g[k]);
  }
  CHECK(std::abs(static_cast<double>(primal.used()[0]) - std::tanh(by_step)) < 2e-7);
  CHECK(std::abs(static_cast<double>(stable.used()[0]) - std::tanh(annealing.beta(8) * sum)) < 2e-7);
}

TEST_CASE("md_tanh: keeps its weights, and can turn, where the primal form in float is stuck at +-1") {
  Training training("md_tanh, beta_growth: 1, beta_start: 1000", {0.05F});
  CHECK(training.used()[0] == 1);
  for (int step = 0; step < 100; ++step) training.step(0.001F, [](std::size_t, float) { return 1.0F; });
  CHECK(training.used()[0] == doctest::Approx(-1));
  CHECK(static_cast<double>(training.u[0]) == doctest::Approx(-0.05).epsilon(1e-5));
}

TEST_CASE("md_softmax with two levels is md_tanh, under gradient descent and Adam, while beta grows") {
  const Values initial = draw(50, 1);
  const Values target = draw(50, 2);
  for (const bool adam : {false, true}) {
    for (const std::string suffix : {"", "_s"}) {
      CAPTURE(adam);
      CAPTURE(suffix);
      const std::string keys = suffix + ", beta_growth: 1.02, beta_interval: 5";
      Training tanh("md_tanh" + keys, initial);
      Training softmax("md_softmax" + keys, initial);
      tanh.adam = softmax.adam = adam;
      const auto slope = [&](std::size_t i, float w) { return w - target[i]; };
      double most = 0;
      for (int step = 0; step < 300; ++step) {
        tanh.step(0.01F, slope);
        softmax.step(0.01F, slope);
        most = std::max(most, largest_difference(tanh.used(), softmax.used()));
      }
      CHECK(most < 2e-5);
      Values one(50), other(50);
      tanh.method->final(tanh.u, tanh.context, one);
      softmax.method->final(softmax.u, softmax.context, other);
      CHECK(one == other);
    }
  }
}

TEST_CASE("md_tanh_s: with a huge beta the used weights are those of BinaryConnect") {
  Values u = draw(200, 3);
  u[0] = 1e-30F;
  u[1] = -1e30F;
  Training soft("md_tanh_s, beta_start: 1.0e+35", u);
  Training hard("binary_connect", u);
  CHECK(soft.used() == hard.used());
  CHECK(soft.pulled(u) == hard.pulled(u));
  CHECK(Training("md_tanh_s, beta_start: 1.0e+35", {0, -0.0F}).used() == Values{0, 0});
}

TEST_CASE("shifted tanh: values, odd, thresholds at +-1/2") {
  const std::string at1 = "md_tanh_s, levels: ternary";
  const std::string at10 = at1 + ", beta_start: 10";
  CHECK(std::abs(used_weight(at1, 0.5F) - 0.380797) < 5e-7);
  CHECK(std::abs(used_weight(at1, 1) - 0.683633) < 1e-6);
  CHECK(std::abs(used_weight(at10, 0.25F) - 0.006693) < 5e-7);
  CHECK(std::abs(used_weight(at10, 0.5F) - 0.5) < 5e-7);
  CHECK(std::abs(used_weight(at10, 1) - 0.999955) < 5e-7);
  for (const float u : {0.0F, 0.1F, 0.5F, 0.7F, 3.0F}) CHECK(used_weight(at10, u) == -used_weight(at10, -u));

  const Values u = {-0.5F, -0.49F, 0, 0.49F, 0.5F, 7};
  Training training(at1, u);
  Values w(u.size());
  training.method->final(training.u, {}, w);
  CHECK(w == Values{-1, 0, 0, 0, 1, 1});
}

TEST_CASE("gd_tanh: its derivative, known values and differences") {
  const auto slope = [](const std::string& keys, float u) { return pulled_weight("gd_tanh" + keys, u); };
  CHECK(std::abs(slope("", 0.5F) - 0.786448) < 5e-7);
  CHECK(std::abs(slope(", beta_start: 4", 0.5F) - 0.282603) < 5e-7);
  CHECK(slope(", beta_start: 4", 0) == 4);
  CHECK(slope(", beta_start: 1.0e+35", 0) == doctest::Approx(1e35));
  CHECK(slope(", beta_start: 1.0e+35", 1e-30F) == 0);
  for (const std::string keys :
       {"", ", levels: ternary", ", beta_start: 3", ", levels: ternary, beta_start: 3"}) {
    for (const float u : {-1.3F, -0.5F, -0.02F, 0.0F, 0.3F, 0.6F, 2.0F}) {
      CAPTURE(keys);
      CAPTURE(u);
      Training training("gd_tanh" + keys, {u});
      CHECK(std::abs(slope(keys, u) - difference(training, 0, 0.02F)) < 3e-5);
    }
  }
  // Far out 1 - w^2 of the rounded w is 0 or worth one bit; the derivative is neither.
  CHECK(slope("", 12) == doctest::Approx(4 * std::exp(-24.0)).epsilon(1e-6));
}

TEST_CASE("gd_tanh: a gradient beyond the range of float is cut to it") {
  Training training("gd_tanh, beta_start: 1.0e+35", {0});
  CHECK(training.pulled({1e10F})[0] == std::numeric_limits<float>::max());
  CHECK(training.pulled({-1e10F})[0] == -std::numeric_limits<float>::max());
}

TEST_CASE("sparsemax: known points") {
  const auto check = [](const LevelValues& x, std::size_t count, const LevelValues& expected) {
    const LevelValues u = project(Projection::sparsemax, x, count, 1);
    for (std::size_t l = 0; l < count; ++l) CHECK(std::abs(u[l] - expected[l]) < 5e-7);
  };
  check({0.2, 0.5}, 2, {0.35, 0.65});
  check({2, 0}, 2, {1, 0});
  check({0.1, 0.2, 0.9}, 3, {0.033333, 0.133333, 0.833333});
  check({0.9, 0.1, 0.2}, 3, {0.833333, 0.033333, 0.133333});
  check({5, 5, 5}, 3, {0.333333, 0.333333, 0.333333});
  // As a weight: u_3 - u_1, and with beta = 10 the nearest point is a corner.
  Training training("pmf, levels: ternary, projection: sparsemax", {0});
  training.u = {0.1F, 0.2F, 0.9F};
  CHECK(std::abs(static_cast<double>(training.used()[0]) - 0.8) < 5e-7);
  Training sharp("pmf, levels: ternary, projection: sparsemax, beta_start: 10", {0});
  sharp.u = {0.1F, 0.2F, 0.9F};
  CHECK(sharp.used()[0] == 1);
}

TEST_CASE("simplex projections: shares of any latents at any beta, ties of argmax") {
  for (const double beta : {1.0, 1e35}) {
    for (const double top : {0.0, 1e-30, 1.0, 1e30}) {
      for (const auto projection : {Projection::softmax, Projection::sparsemax, Projection::argmax}) {
        const LevelValues u = project(projection, {-top, top / 2, top}, 3, beta);
        CHECK(u[0] + u[1] + u[2] == doctest::Approx(1));
        CHECK(u[0] <= u[1]);
        if (top > 0) CHECK(u[1] <= u[2]);
      }
    }
  }
  CHECK(project(Projection::softmax, {-1, 0, 1}, 3, 1e35) == LevelValues{0, 0, 1});
  CHECK(project(Projection::argmax, {1, 1, 1}, 3, 1) == LevelValues{0, 1, 0});
  CHECK(project(Projection::argmax, {2, 1, 2}, 3, 1) == LevelValues{0, 0, 1});
  CHECK(project(Projection::argmax, {1, 1}, 2, 1) == LevelValues{0, 1});
}

TEST_CASE("all start at tanh of beta times binary initial weights") {
  for (const std::string name : {"pmf", "md_softmax", "md_softmax_s", "md_tanh", "md_tanh_s", "gd_tanh"}) {
    CAPTURE(name);
    CHECK(used_weight(name, 0.7F) == doctest::Approx(std::tanh(0.7)).epsilon(1e-6));
    CHECK(used_weight(name + ", beta_start: 2", 0.7F) == doctest::Approx(std::tanh(1.4)).epsilon(1e-6));
  }
  // Ternary: exp(-(0.7 - q)^2 / 2) for the level q.
  const double below = std::exp(-1.445), middle = std::exp(-0.245), above = std::exp(-0.045);
  CHECK(used_weight("pmf, levels: ternary", 0.7F) ==
        doctest::Approx((above - below) / (above + middle + below)).epsilon(1e-6));
}

TEST_CASE(
    "ternary levels: the nearest is final at the start, and after steps straight through, as md_tanh_s") {
  const Values w = {-2, -0.6F, -0.4F, 0, 0.3F, 0.49F, 0.51F, 1};
  for (const std::string name : {"pmf", "pmf, projection: argmax", "md_softmax", "md_softmax_s"}) {
    CAPTURE(name);
    Training training(name + ", levels: ternary", w);
    CHECK(final_of(training) == Values{-1, -1, 0, 0, 0, 0, 1, 1});
  }
  Training dual("md_softmax_s, levels: ternary", w), shifted("md_tanh_s, levels: ternary", w);
  const Values g = {1, 3, -4, 6, 2, -0.5F, 0.5F, 8};
  for (Training* training : {&dual, &shifted})
    training->step(0.1F, [&](std::size_t i, float) { return g[i]; });
  CHECK(final_of(dual) == Values{-1, -1, 0, -1, 0, 1, 0, 0});
  CHECK(final_of(dual) == final_of(shifted));
}

TEST_CASE("what is carried to a next stage starts there what there was") {
  const Values w = {-1.5F, -0.3F, 0.2F, 0.9F};
  const auto restarted = [&](const std::string& keys) {
    Training before(keys, w), after(keys, w);
    const Values g = {0.5F, -1, 0.25F, 2};
    for (int step = 0; step < 5; ++step) before.step(0.1F, [&](std::size_t i, float) { return g[i]; });
    Values carried(w.size());
    before.method->carried(before.u, before.context, carried);
    after.method->initialize(carried, after.u);
    return std::pair(std::move(before), std::move(after));
  };
  // Dual forms keep their latents, primal ones, which anneal, their weights.
  for (const std::string name : {"md_softmax_s", "md_tanh_s", "gd_tanh", "pmf, projection: argmax",
                                 "md_softmax_s, levels: ternary", "md_tanh_s, levels: ternary"}) {
    CAPTURE(name);
    const auto [before, after] = restarted(name + ", beta_growth: 2, beta_interval: 1");
    for (std::size_t i = 0; i < after.u.size(); ++i) CHECK(after.u[i] == doctest::Approx(before.u[i]));
  }
  for (const std::string name : {"md_tanh", "md_softmax", "md_tanh, beta_start: 3"}) {
    CAPTURE(name);
    auto [before, after] = restarted(name + ", beta_growth: 2, beta_interval: 1");
    const Values kept = before.used(), started = after.used();
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(started[i] == doctest::Approx(kept[i]).epsilon(1e-5));
  }
}

TEST_CASE("pmf: the exact Jacobians are the derivatives of the weight") {
  const std::vector<std::string> specs = {"pmf",
                                          "pmf, levels: ternary",
                                          "pmf, beta_start: 3",
                                          "pmf, levels: ternary, beta_start: 3",
                                          "pmf, projection: sparsemax",
                                          "pmf, levels: ternary, projection: sparsemax"};
  for (const std::string& spec : specs) {
    for (const Values& t : {Values{0.1F, -0.2F, 0.35F}, Values{0.3F, 0.35F, -0.25F}, Values{1.9F, 0.2F, 0}}) {
      Training training(spec, {0});
      std::copy_n(t.begin(), training.u.size(), training.u.begin());
      const Values pulled = training.pulled({1});
      for (std::size_t l = 0; l < training.u.size(); ++l) {
        CAPTURE(spec);
        CAPTURE(l);
        CHECK(std::abs(static_cast<double>(pulled[l]) - difference(training, l, 0.02F)) < 3e-5);
      }
    }
  }
}

TEST_CASE("pmf: the released Jacobian is I - u' u'^T with the softmax taken twice") {
  Training training("pmf, levels: ternary, jacobian: released, beta_start: 2", {0});
  training.u = {0.1F, -0.2F, 0.35F};
  const Values gt = training.pulled({0.5F});
  const auto softmax = [](const LevelValues& t) {
    const LevelValues e = {std::exp(2 * t[0]), std::exp(2 * t[1]), std::exp(2 * t[2])};
    const double sum = e[0] + e[1] + e[2];
    return LevelValues{e[0] / sum, e[1] / sum, e[2] / sum};
  };
  const LevelValues twice = softmax(softmax({0.1, -0.2, 0.35}));
  const LevelValues g = {-0.5, 0, 0.5};
  for (std::size_t l = 0; l < 3; ++l) {
    double product = 0;
    for (std::size_t m = 0; m < 3; ++m) product += ((l == m ? 1 : 0) - twice[l] * twice[m]) * g[m];
    CHECK(std::abs(static_cast<double>(gt[l]) - 2 * product) < 1e-7);
  }
}

TEST_CASE("pmf: argmax is straight through, md_softmax too") {
  for (const std::string spec :
       {"pmf, levels: ternary, projection: argmax, beta_start: 5",
        "md_softmax, levels: ternary, beta_start: 5", "md_softmax_s, levels: ternary, beta_start: 5"}) {
    Training training(spec, {0.4F, -2});
    CHECK(training.pulled({2, 3}) == Values{-2, 0, 2, -3, 0, 3});
  }
  Training training("pmf, levels: ternary, projection: argmax", {0.6F, -2, 0.4F});
  CHECK(training.used() == Values{1, -1, 0});
}

TEST_CASE("mirror descent: codes only once every weight is at a level") {
  Training training("md_softmax_s, levels: ternary, beta_start: 1000", {2, -3, 0});
  Values codes(3), scales(1);
  training.u = {0, 5, 0, 7, 0, 0, 0, 0, 2};
  REQUIRE(training.method->codes(training.used(), codes, scales));
  CHECK(codes == Values{0, -1, 1});
  CHECK(scales[0] == 1);
  training.u[8] = 1e-4F;
  CHECK_FALSE(training.method->codes(training.used(), codes, scales));
  CHECK_FALSE(training.method->code_range());
}

TEST_CASE("mirror descent: combinations that are refused") {
  const auto mistakes = [](const std::string& keys) {
    return mistakes_of<WeightSpec>("{method: " + keys + "}");
  };
  CHECK(mistakes("md_tanh, levels: binary").empty());
  CHECK(mistakes("md_tanh, levels: ternary").find("no inverse in closed form") != std::string::npos);
  CHECK(mistakes("pmf, projection: sparsemax").empty());
  CHECK(mistakes("pmf, projection: sparsemax, jacobian: released").find("must be exact") !=
        std::string::npos);
}

}  // namespace qtrain::quant
