// LSQ and QIL: known values, and gradients against finite differences.
#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "base/random.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;

/// A method with its learned values bound.
struct Bound {
  std::unique_ptr<WeightMethod> method;
  Values learned, gradients, gu;

  Bound(const std::string& keys, const Shape& shape)
      : method(read_spec<WeightSpec>("{method: " + keys + "}").make({"w", shape})) {
    for (const LearnedParameter& parameter : method->learned())
      learned.insert(learned.end(), parameter.initial.begin(), parameter.initial.end());
    gradients.resize(learned.size());
    method->bind(learned, gradients);
  }
  Values used(const Values& u) {
    Values w(u.size());
    method->used(u, {}, w);
    return w;
  }
  void pull(const Values& u, const Values& gw) {
    gu.resize(u.size());
    method->pulled(u, used(u), gw, {}, gu);
  }
  void start(const Values& w) {
    Values u(w.size());
    method->initialize(w, u);
    CHECK(u == w);
  }
};

void check_near(const Values& values, const std::vector<double>& expected, double tolerance = 1e-6) {
  REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(static_cast<double>(values[i]) - expected[i]) < tolerance);
  }
}

/// w^ of the paper, before rounding.
double transformed(double u, double c, double d, double gamma) {
  const double magnitude = std::abs(u);
  if (magnitude < c - d) return 0;
  const double sign = u < 0 ? -1 : 1;
  if (magnitude > c + d) return sign;
  return sign * std::pow(0.5 * (magnitude - c) / d + 0.5, gamma);
}

template <class Function>
double slope_of(Function f, double x) {
  constexpr double kStep = 1e-5;
  return (f(x + kStep) - f(x - kStep)) / (2 * kStep);
}

}  // namespace

TEST_CASE("lsq: values, derivative of each weight to s, and its scaled sum") {
  const Values v = {-1.3F, 0.2F, 0.74F, 2.6F};
  Bound lsq("lsq, bits: 2", {1, 4});
  lsq.start(v);
  CHECK(static_cast<double>(lsq.learned[0]) == doctest::Approx(2.42).epsilon(1e-6));
  lsq.learned[0] = 0.5F;
  CHECK(lsq.used(v) == Values{-1, 0, 0.5F, 0.5F});
  const std::array<double, 4> slopes = {-2, -0.4, 1, 1};
  for (std::size_t i = 0; i < v.size(); ++i) {
    Values gw(4, 0);
    gw[i] = 1;
    lsq.pull(v, gw);
    CHECK(static_cast<double>(lsq.gradients[0]) == doctest::Approx(slopes[i] / 2).epsilon(1e-6));
  }
  lsq.pull(v, {1, 1, 1, 1});
  CHECK(static_cast<double>(lsq.gradients[0]) == doctest::Approx(-0.2).epsilon(1e-6));
  CHECK(lsq.gu == Values{0, 1, 0, 0});

  Values codes(4), scales(1);
  REQUIRE(lsq.method->codes(lsq.used(v), codes, scales));
  CHECK(codes == Values{-2, 0, 1, 1});
  CHECK(scales[0] == 0.5F);
  CHECK_FALSE(std::signbit(lsq.used({-0.1F, 0, 0, 0})[0]));
}

TEST_CASE("lsq: halves round to even, ends belong to the outside") {
  Bound lsq("lsq, bits: 3", {1, 6});
  lsq.learned[0] = 1;
  const Values u = {0.5F, 1.5F, -2.5F, 3, -4, 2.9F};
  CHECK(lsq.used(u) == Values{0, 2, -2, 3, -4, 3});
  lsq.pull(u, Values(6, 1));
  CHECK(lsq.gu == Values{1, 1, 1, 0, 0, 1});
  const double sum = -0.5 + 0.5 + 0.5 + 3 - 4 + 0.1;
  CHECK(static_cast<double>(lsq.gradients[0]) == doctest::Approx(sum / std::sqrt(18.0)).epsilon(1e-6));
}

TEST_CASE("lsq: one bit is s sign(u)") {
  const Values u = {0.5F, -0.25F, 0, -0.0F, 3, -1};
  Bound lsq("lsq, bits: 1", {1, 6});
  lsq.start(u);
  CHECK(lsq.learned[0] == 4.75F / 6);
  lsq.learned[0] = 0.5F;
  CHECK(lsq.used(u) == Values{0.5F, -0.5F, 0.5F, 0.5F, 0.5F, -0.5F});
  lsq.pull(u, Values(6, 1));
  CHECK(lsq.gu == Values{0, 1, 1, 1, 0, 0});
  const double sum = 1 + (-1 + 0.5) + 1 + 1 + 1 - 1;
  CHECK(static_cast<double>(lsq.gradients[0]) == doctest::Approx(sum / std::sqrt(6.0)).epsilon(1e-6));
}

TEST_CASE("lsq: the step has its own rate and stays positive") {
  const auto learned = Bound("lsq, step_rate: 0.1", {1, 4}).method->learned();
  REQUIRE(learned.size() == 1);
  CHECK(learned[0].name == "s");
  CHECK(learned[0].learning_rate_factor == 0.1);
  CHECK(learned[0].low > 0);
  Bound zeros("lsq", {1, 2});
  zeros.start({0, 0});
  CHECK(zeros.learned[0] == doctest::Approx(2 / std::sqrt(7.0)));  // as for weights of mean magnitude 1
  CHECK(zeros.used({0, 1e30F}) == Values{0, 7 * zeros.learned[0]});
}

TEST_CASE("qil: the first interval reaches from 0 to the largest weight, or to a part of it") {
  Bound whole("qil, gamma: fixed", {1, 3}), half("qil, gamma: fixed, reach: 0.5", {1, 3});
  whole.start({0.5F, -2, 1});
  half.start({0.5F, -2, 1});
  CHECK(whole.learned == Values{1, 1});
  CHECK(half.learned == Values{0.5F, 0.5F});
}

TEST_CASE("qil: known weights") {
  const Values u = {0.05F, 0.2F, 0.24F, 0.3F, 0.5F, 0.75F, 0.77F, 0.95F, -0.05F, -0.75F};
  Bound qil("qil, bits: 3, gamma: fixed", {1, 10});
  qil.learned[0] = 0.5F;
  qil.learned[1] = 0.4F;
  const double third = 1.0 / 3;
  check_near(qil.used(u), {0, 0, third, third, 2 * third, 2 * third, 1, 1, 0, -2 * third});
  CHECK_FALSE(std::signbit(qil.used(u)[8]));
  Values codes(10), scales(1);
  REQUIRE(qil.method->codes(qil.used(u), codes, scales));
  CHECK(codes == Values{0, 0, 1, 1, 2, 2, 3, 3, 0, -2});
  CHECK(scales[0] == 1.0F / 3);

  // The last level of 8 bits shows w^ itself to 1 / 254.
  Bound fine("qil, bits: 8, gamma: fixed", {1, 10});
  fine.learned[0] = 0.5F;
  fine.learned[1] = 0.4F;
  check_near(fine.used({0.05F, 0.2F, 0.24F, 0.3F, 0.5F, 0.75F, 0.77F, 0.95F, 0, 0}),
             {0, 0.125, 0.175, 0.25, 0.5, 0.8125, 0.8375, 1, 0, 0}, 0.5 / 127 + 1e-6);
}

TEST_CASE("qil: known gradients") {
  struct Case {
    float u, gamma;
    std::array<double, 4> slopes;  // to u, c, d, gamma
  };
  const std::array<Case, 7> cases = {{{0.3F, 1, {1.25, -1.25, 0.625, -0.346574}},
                                      {-0.3F, 1, {1.25, 1.25, -0.625, 0.346574}},
                                      {0.3F, 2, {0.625, -0.625, 0.3125, -0.086643}},
                                      {-0.37F, 1.7F, {0.99346, 0.99346, -0.322875, 0.171384}},
                                      {0.05F, 1.7F, {0, 0, 0, 0}},
                                      {-0.95F, 1.7F, {0, 0, 0, 0}},
                                      {0, 1, {0, 0, 0, 0}}}};
  for (const Case& one : cases) {
    CAPTURE(one.u);
    CAPTURE(one.gamma);
    Bound qil("qil, bits: 3", {1, 1});
    std::ranges::copy(Values{0.5F, 0.4F, one.gamma}, qil.learned.begin());
    qil.pull({one.u}, {1});
    check_near({qil.gu[0], qil.gradients[0], qil.gradients[1], qil.gradients[2]},
               {one.slopes.begin(), one.slopes.end()}, 1e-5 / 2);
  }
}

// The rounding is passed straight through, so gradients are those of sum_i gw_i w^_i.
TEST_CASE("qil: gradients are the slopes of the transformer") {
  RandomStream random(6, Purpose::test);
  constexpr double kC = 0.45, kD = 0.4;
  for (const double gamma : {0.6, 1.0, 2.3}) {
    CAPTURE(gamma);
    Values u, gw;
    while (u.size() < 500) {
      const float value = 0.5F * random.normal();
      const double magnitude = std::abs(static_cast<double>(value));
      // away from the interval's ends, where the transformer has corners or no bounded slope
      if (std::abs(magnitude - (kC - kD)) < 1e-2 || std::abs(magnitude - (kC + kD)) < 1e-2) continue;
      u.push_back(value);
      gw.push_back(random.normal());
    }
    Bound qil("qil, bits: 3", {1, 500});
    std::ranges::copy(Values{static_cast<float>(kC), static_cast<float>(kD), static_cast<float>(gamma)},
                      qil.learned.begin());
    qil.pull(u, gw);
    const auto c0 = static_cast<double>(qil.learned[0]), d0 = static_cast<double>(qil.learned[1]),
               gamma0 = static_cast<double>(qil.learned[2]);
    const auto loss = [&](double c, double d, double power) {
      double sum = 0;
      for (std::size_t i = 0; i < u.size(); ++i)
        sum += static_cast<double>(gw[i]) * transformed(static_cast<double>(u[i]), c, d, power);
      return sum;
    };
    const std::array<double, 3> slopes = {slope_of([&](double c) { return loss(c, d0, gamma0); }, c0),
                                          slope_of([&](double d) { return loss(c0, d, gamma0); }, d0),
                                          slope_of([&](double g) { return loss(c0, d0, g); }, gamma0)};
    for (std::size_t k = 0; k < slopes.size(); ++k)
      CHECK(static_cast<double>(qil.gradients[k]) == doctest::Approx(slopes[k]).epsilon(1e-5));
    for (std::size_t i = 0; i < u.size(); ++i) {
      const double slope =
          static_cast<double>(gw[i]) *
          slope_of([&](double x) { return transformed(x, c0, d0, gamma0); }, static_cast<double>(u[i]));
      CHECK(std::abs(static_cast<double>(qil.gu[i]) - slope) < 1e-5 * (1 + std::abs(slope)));
    }
  }
}

TEST_CASE("qil: an interval below zero, and gradients at its lower end, stay finite") {
  Bound qil("qil, bits: 2", {1, 4});
  std::ranges::copy(Values{0.1F, 0.4F, 0.1F}, qil.learned.begin());
  const Values u = {0, -0.0F, -1e-6F, 0.4F};
  CHECK(qil.used(u) == Values{1, 1, -1, 1});  // t(0)^0.1 = 0.375^0.1 = 0.907
  std::ranges::copy(Values{0.5F, 0.5F, 0.1F}, qil.learned.begin());
  qil.pull(u, Values(4, 1));
  for (const Values& values : {qil.gu, qil.gradients})
    for (const float value : values) CHECK(std::isfinite(value));
}

TEST_CASE("qil: where the interval starts, and how it is learned") {
  Bound qil("qil", {1, 3});
  qil.start({0.5F, -1.5F, 1});
  CHECK(qil.learned == Values{0.75F, 0.75F, 1});
  CHECK(qil.used({1.5F, -1.5F, 0}) == Values{1, -1, 0});
  const auto learned = qil.method->learned();
  REQUIRE(learned.size() == 3);
  for (const LearnedParameter& parameter : learned) CHECK(parameter.learning_rate_factor == 0.01);
  CHECK(learned[0].low == 0);
  CHECK(learned[1].low > 0);
  CHECK(learned[2].low > 0);
  CHECK(Bound("qil, gamma: fixed", {1, 3}).method->learned().size() == 2);
  CHECK(mistakes_of<WeightSpec>("{method: qil, bits: 1}").find("bits: is 1") != std::string::npos);
}

}  // namespace qtrain::quant
