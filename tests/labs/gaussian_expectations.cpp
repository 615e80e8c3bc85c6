// The closed forms of two_layer_gaussian at points whose values were worked out by hand and by Monte Carlo.
#include "labs/gaussian_expectations.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "labs/gaussian_samples.hpp"
#include "spec/reader.hpp"

namespace qtrain::labs {
namespace {

using std::numbers::pi;

const TwoLayer kTeacher{.v = {1, 1, -1}, .w = {1, 0}};
const TwoLayer kPoint{.v = {0.7, -0.4, 1.1}, .w = {0.6, 0.9}};

bool near(const Vector& a, const Vector& b, double tolerance) {
  return a.size() == b.size() && norm(plus(a, -1, b)) < tolerance;
}

Vector coarse(const char* ste, const TwoLayer& net) { return expected_coarse_gradient(ste)(net, kTeacher); }

std::unique_ptr<quant::Ste> make_ste(const std::string& name) {
  spec::Document document = spec::Document::parse("{}", "test.yaml");
  spec::Reader keys = document.root();
  for (const quant::SteEntry& entry : quant::stes())
    if (entry.name == name) return entry.read(keys)();
  return nullptr;
}

}  // namespace

TEST_CASE("population loss: |v*|^2 theta / (2 pi) at v = v*, and 1/8 v*^T (I + J) v* at w = 0") {
  const double expected[] = {0, 0.375, 0.75, 1.125, 1.5};
  for (int k = 0; k <= 4; ++k) {
    const double theta = k * pi / 4;
    const TwoLayer net{.v = kTeacher.v, .w = {3 * std::cos(theta), 3 * std::sin(theta)}};
    CHECK(population_loss(net, kTeacher) == doctest::Approx(expected[k]).epsilon(1e-14));
  }
  for (const Vector& v : {Vector{0, 0, 0}, Vector{5, -2, 1}}) {
    const TwoLayer zero{.v = v, .w = {0, 0}};
    CHECK(population_loss(zero, kTeacher) == 0.5);
    CHECK(v_gradient(zero, kTeacher) == Vector{0, 0, 0});
    CHECK(w_gradient(zero, kTeacher) == Vector{0, 0});
  }
}

TEST_CASE("a general point: loss, gradients, coarse gradients, inner products") {
  CHECK(std::abs(population_loss(kPoint, kTeacher) - 0.7023668167) < 1e-10);
  CHECK(near(v_gradient(kPoint, kTeacher), {0.1814164791, -0.0935835209, 0.4685835209}, 2e-10));
  const Vector slope = w_gradient(kPoint, kTeacher);
  CHECK(near(slope, {0.0979415035, -0.0652943356}, 2e-10));
  CHECK(near(coarse("relu", kPoint), {0.4273418792, 0.4016474506}, 2e-10));
  CHECK(near(coarse("clipped_relu", kPoint), {0.1834737313, 0.0996410125}, 2e-10));
  CHECK(near(coarse("identity", kPoint), {0.7307594762, 0.6174084778}, 2e-10));
  const double relu = dot(coarse("relu", kPoint), slope);
  CHECK(std::abs(relu - 0.0156292027) < 1e-10);
  CHECK(std::abs(dot(coarse("clipped_relu", kPoint), slope) - 0.0114636994) < 1e-10);
  CHECK(std::abs(dot(coarse("identity", kPoint), slope) - 0.0312584054) < 1e-10);
  CHECK(dot(coarse("identity", kPoint), slope) == doctest::Approx(2 * relu).epsilon(1e-13));
  CHECK_FALSE(bool(expected_coarse_gradient("hard_tanh")));
}

TEST_CASE("gradients of the population loss agree with finite differences") {
  const double h = 1e-6;
  for (const Vector& w : {Vector{0.6, 0.9}, Vector{-0.2, 0.1}, Vector{0.3, -2}}) {
    for (std::size_t k = 0; k < 5; ++k) {
      TwoLayer low{.v = kPoint.v, .w = w};
      TwoLayer high = low;
      (k < 3 ? low.v[k] : low.w[k - 3]) -= h;
      (k < 3 ? high.v[k] : high.w[k - 3]) += h;
      const TwoLayer net{.v = kPoint.v, .w = w};
      const double slope = (population_loss(high, kTeacher) - population_loss(low, kTeacher)) / (2 * h);
      const double closed = k < 3 ? v_gradient(net, kTeacher)[k] : w_gradient(net, kTeacher)[k - 3];
      CHECK(std::abs(slope - closed) < 1e-8);
    }
  }
}

TEST_CASE("the integrals p and q of the clipped ReLU") {
  const auto check = [](double theta, double w_norm, double p, double q) {
    const ClippedMoments moments =
        clipped_moments(std::cos(theta), theta == 0 ? 0 : std::sin(theta), 1 / w_norm);
    CHECK(std::abs(moments.p - p) < 1e-8);
    CHECK(std::abs(moments.q - q) < 1e-8);
  };
  check(pi / 2, 1, 0.07848578, 0.13617685);
  check(pi / 4, 1, 0.11475109, 0.11886075);
  check(3 * pi / 4, 2, 0.01743062, 0.07341515);
  check(0, 1, 0.15697156, 0);
  const ClippedMoments backwards = clipped_moments(-1, 0, 1);
  CHECK(backwards.p == 0);
  CHECK(backwards.q == 0);
  CHECK(backwards.p0 == doctest::Approx(0.15697156).epsilon(1e-7));
}

TEST_CASE("critical points: loss, angle, and which coarse gradients vanish there") {
  const std::optional<TwoLayer> spurious = spurious_minimum(kTeacher);
  REQUIRE(spurious);
  CHECK(spurious->v == Vector{-0.5, -0.5, 1.5});
  CHECK(direction(spurious->w, kTeacher.w).theta == pi);
  CHECK(population_loss(*spurious, kTeacher) == 0.125);
  const std::optional<TwoLayer> middle = saddle(kTeacher);
  REQUIRE(middle);
  CHECK(near(middle->v, {2.0 / 11, 2.0 / 11, 4.0 / 11}, 1e-15));
  CHECK(std::abs(direction(middle->w, kTeacher.w).theta - 1.7135959929) < 1e-10);
  CHECK(population_loss(*middle, kTeacher) == doctest::Approx(9.0 / 22).epsilon(1e-14));
  for (const TwoLayer& point : {*spurious, *middle, kTeacher}) {
    CHECK(norm(v_gradient(point, kTeacher)) < 1e-15);
    CHECK(norm(w_gradient(point, kTeacher)) < 1e-15);
    CHECK(norm(coarse("relu", point)) < 1e-15);
    CHECK(norm(coarse("clipped_relu", point)) < 1e-15);
  }
  CHECK(std::abs(norm(coarse("identity", *spurious)) - 0.0997355701) < 1e-10);
  CHECK(std::abs(norm(coarse("identity", *middle)) - 0.0791290) < 1e-7);
  CHECK(norm(coarse("identity", kTeacher)) < 1e-15);
}

TEST_CASE("saddle and spurious minimum exist iff (1^T v*)^2 < (m + 1) / 2 |v*|^2") {
  CHECK_FALSE(saddle({.v = {1, 1, 1}, .w = {1, 0}}));
  CHECK_FALSE(spurious_minimum({.v = {1, 1, 1}, .w = {1, 0}}));
  CHECK_FALSE(spurious_minimum({.v = {1}, .w = {1, 0}}));  // 1 < 1
  CHECK(spurious_minimum({.v = {1, 0}, .w = {1, 0}}));     // 1 < 3/2
}

TEST_CASE("the angle keeps its digits near 0 and pi") {
  for (const double tiny : {1e-9, 1e-12}) {
    CHECK(direction({1, tiny}, {1, 0}).theta == doctest::Approx(tiny).epsilon(1e-12));
    const Direction at = direction({-1, tiny}, {1, 0});
    CHECK(pi - at.theta == doctest::Approx(tiny).epsilon(1e-3));
    CHECK(norm(at.e) == doctest::Approx(1));
    CHECK(std::abs(dot(at.e, at.wh)) < 1e-15);
    CHECK(dot(at.e, {1, 0}) == doctest::Approx(at.sine));
  }
}

// 3e5 samples of terms with deviations of about 1: a standard error of 2e-3.
TEST_CASE("means over samples agree with every closed form") {
  GaussianSamples samples(300'000, kTeacher);
  samples.draw(RandomStream(1, Purpose::test));
  CHECK(std::abs(samples.loss(kPoint) - population_loss(kPoint, kTeacher)) < 5e-3);
  for (const char* name : {"identity", "relu", "clipped_relu"}) {
    CAPTURE(name);
    const GaussianSamples::Means means = samples.coarse_gradient(kPoint, *make_ste(name));
    CHECK(means.loss == samples.loss(kPoint));
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::abs(means.v[i] - v_gradient(kPoint, kTeacher)[i]) < 5e-3);
    for (std::size_t j = 0; j < 2; ++j) CHECK(std::abs(means.w[j] - coarse(name, kPoint)[j]) < 5e-3);
  }
  CHECK(samples.loss(kTeacher) == 0);
}

}  // namespace qtrain::labs
