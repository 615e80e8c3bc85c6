// Weight methods whose levels are signs or integers times scales, against values worked out by hand, and
// their gradients against finite differences.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <set>

#include "base/random.hpp"
#include "quant/alternating_codes.hpp"
#include "quant/weight_method.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;

std::unique_ptr<WeightMethod> make(const std::string& spec, const Shape& shape) {
  return read_spec<WeightSpec>("{method: " + spec + "}").make({"w", shape});
}

Shape one_row(const Values& u) { return {1, static_cast<std::int64_t>(u.size())}; }

Values used(WeightMethod& method, const Values& u) {
  Values w(u.size());
  method.used(u, {}, w);
  return w;
}
Values used(const std::string& spec, const Values& u) { return used(*make(spec, one_row(u)), u); }

Values pulled(WeightMethod& method, const Values& u, const Values& gw) {
  Values gu(u.size());
  method.pulled(u, used(method, u), gw, {}, gu);
  return gu;
}
Values pulled(const std::string& spec, const Values& u, const Values& gw) {
  return pulled(*make(spec, one_row(u)), u, gw);
}

/// The largest difference; sizes equal.
double distance(const Values& a, const Values& b) {
  double result = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    result = std::max(result, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return result;
}

double squared_error(const Values& u, const Values& w) {
  double sum = 0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    const double rest = static_cast<double>(u[i]) - static_cast<double>(w[i]);
    sum += rest * rest;
  }
  return sum;
}

Values normals(std::size_t size, std::uint32_t draw) {
  RandomStream random(2, Purpose::test, draw);
  Values values(size);
  for (float& value : values) value = random.normal();
  return values;
}

/// d f / d u_i for each i by central differences in double.
Values slopes(const std::function<double(const std::vector<double>&)>& f, const Values& u) {
  constexpr double kStep = 1e-5;
  std::vector<double> point(u.begin(), u.end());
  Values result;
  for (double& value : point) {
    const double centre = value;
    value = centre + kStep;
    const double above = f(point);
    value = centre - kStep;
    const double below = f(point);
    value = centre;
    result.push_back(static_cast<float>((above - below) / (2 * kStep)));
  }
  return result;
}

const Values kSix = {0.9F, -0.7F, 0.35F, 0.3F, -0.1F, 0.05F};
const Values kFive = {0.9F, -0.5F, 0.1F, -1.3F, 0};

}  // namespace

TEST_CASE("bwn: the mean magnitude, over all weights or of each output channel") {
  const Values w = used("bwn", kSix);
  CHECK(distance(w, {0.4F, -0.4F, 0.4F, 0.4F, -0.4F, 0.4F}) < 1e-7);
  CHECK(squared_error(kSix, w) / 2 == doctest::Approx(0.2825).epsilon(1e-6));
  CHECK(used("bwn", {0, -0.0F, 3, -3}) == Values{1.5F, 1.5F, 1.5F, -1.5F});

  const Values rows = {1, -3, 5, 5};
  CHECK(used(*make("bwn", {2, 2}), rows) == Values{2, -2, 5, 5});
  CHECK(used(*make("bwn, scale: tensor", {2, 2}), rows) == Values{3.5F, -3.5F, 3.5F, 3.5F});
}

TEST_CASE("bwn, xnor: the three gradients on a known row") {
  const Values u = {0.5F, -0.2F, 1.5F, -0.8F};
  const Values gw = {0.1F, 0.2F, -0.3F, 0.4F};
  CHECK(pulled("bwn", u, gw) == gw);
  for (const std::string method : {"bwn", "xnor"}) {
    CHECK(distance(pulled(method + ", gradient: paper", u, gw), {0.1F, 0.2F, -0.075F, 0.4F}) < 1e-7);
    CHECK(distance(pulled(method + ", gradient: exact", u, gw), {-0.125F, 0.35F, -0.2F, 0.5F}) < 1e-7);
  }
  CHECK(pulled("xnor", u, gw) == pulled("xnor, gradient: paper", u, gw));
  // (1 - 1/4) 4 = 3 times the paper's.
  CHECK(distance(pulled("xnor, gradient: released", u, gw), {0.3F, 0.6F, -0.225F, 1.2F}) < 1e-6);
  // At |u| = 1 only `exact` lets the gradient through the sign.
  CHECK(pulled("bwn, gradient: paper", {1, -1}, {1, 1}) == Values{0.5F, 0.5F});
  CHECK(pulled("bwn, gradient: exact", {1, 1}, {1, 1}) == Values{2, 2});
}

// Where |u| > 1 no gradient goes through the sign, and what is left is the slope of alpha.
TEST_CASE("bwn: `exact` is the slope of sum g w where the window is shut") {
  Values u = normals(20, 1);
  const Values gw = normals(20, 2);
  for (float& value : u) value += value < 0 ? -1.0F : 1.0F;
  const auto loss = [&](const std::vector<double>& point) {
    double mean = 0, along = 0;
    for (std::size_t i = 0; i < point.size(); ++i) {
      mean += std::abs(point[i]) / static_cast<double>(point.size());
      along += static_cast<double>(gw[i]) * (point[i] < 0 ? -1 : 1);
    }
    return mean * along;
  };
  CHECK(distance(pulled("bwn, gradient: exact", u, gw), slopes(loss, u)) < 1e-6);
}

TEST_CASE("xnor: weights are centred over input channels, then clamped, at the start and after each step") {
  // Two output channels, two input channels, a window of two places.
  const Values w = {1, 2, 3, -2, 5, 0.5F, -5, 0.25F};
  const Values centred = {-1, 1, 1, -1, 1, 0.125F, -1, -0.125F};
  const auto method = make("xnor", {2, 2, 1, 2});
  Values u(w.size());
  method->initialize(w, u);
  CHECK(u == centred);
  Values settled = w;
  method->settled(settled, {});
  CHECK(settled == centred);
  CHECK(used(*method, u) == Values{-1, 1, 1, -1, 0.5625F, 0.5625F, -0.5625F, -0.5625F});
  CHECK(used(*make("bwn", {2, 2, 1, 2}), u) == used(*method, u));
}

TEST_CASE("xnor: one input channel is not centred") {
  const Values w = {0.5F, -0.25F, 3, 0.75F};
  const auto method = make("xnor, gradient: released", {1, 1, 2, 2});
  Values u(w.size());
  method->initialize(w, u);
  CHECK(u == Values{0.5F, -0.25F, 1, 0.75F});
  // alpha = 0.625, n = 4: (1/4 + 0.625) 4 inside, (1/4) 4 outside.
  CHECK(pulled(*method, u, {1, 1, 1, 1}) == Values{3.5F, 3.5F, 1, 3.5F});
}

TEST_CASE("twn: threshold 0.7 mean |u|, scale the mean of the selected") {
  const Values w = {-1, -0.2F, 0.1F, 0.6F, 1.5F};
  const float alpha = 1.0333333F;
  CHECK(distance(used("twn", w), {-alpha, 0, 0, alpha, alpha}) < 1e-6);
  CHECK(distance(used("twn, mean_over: all", w), {-0.62F, 0, 0, 0.62F, 0.62F}) < 1e-6);

  CHECK(distance(used("twn", kSix), {0.5625F, -0.5625F, 0.5625F, 0.5625F, 0, 0}) < 1e-7);
  CHECK(squared_error(kSix, used("twn", kSix)) / 2 == doctest::Approx(0.1296875).epsilon(1e-6));
  CHECK(distance(used("twn", kFive), {0.9F, -0.9F, 0, -0.9F, 0}) < 1e-6);
  // The mean magnitude stays 0.56, the threshold 0.392.
  CHECK(used("twn", {0.9F, -0.391F, 0.209F, -1.3F, 0})[1] == 0);
  CHECK(used("twn", {0.9F, -0.393F, 0.207F, -1.3F, 0})[1] < 0);
  CHECK(used("twn", {0, -0.0F, 0}) == Values{0, 0, 0});

  const Values rows = {1, 0.25F, 4, -8};
  CHECK(used(*make("twn, scale: channel", {2, 2}), rows) == Values{1, 0, 0, -8});
  CHECK(used(*make("twn", {2, 2}), rows) == Values{0, 0, 6, -6});
}

TEST_CASE("ttq: two learned levels, above 0.05 max |u|") {
  const Values u = {2, 0.09F, 0.11F, -0.09F, -0.11F, -0.0F};
  const Values gw = {1, 2, 4, 8, 16, 32};
  Values levels = {0.5F, 3};
  Values gradients(2);
  const auto method = make("ttq", one_row(u));
  CHECK(used(*method, u) == Values{1, 0, 1, 0, -1, 0});
  method->bind(levels, gradients);
  CHECK(used(*method, u) == Values{0.5F, 0, 0.5F, 0, -3, 0});
  CHECK(pulled(*method, u, gw) == Values{0.5F, 2, 2, 8, 48, 32});
  CHECK(gradients == Values{5, -16});

  const auto scaled = make("ttq, level_gradient: scaled", one_row(u));
  scaled->bind(levels, gradients);
  CHECK(pulled(*scaled, u, gw) == Values{0.5F, 2, 2, 8, 48, 32});
  CHECK(gradients == Values{2.5F, -48});
  CHECK(used("ttq, threshold: 0.5", {4, 2, 2.5F, -3}) == Values{1, 0, 1, -1});
}

TEST_CASE("ttq: the levels' gradients are the slopes of sum g w") {
  const Values u = normals(50, 3);
  const Values gw = normals(50, 4);
  Values levels = {0.7F, 1.2F};
  Values gradients(2);
  const auto method = make("ttq", one_row(u));
  method->bind(levels, gradients);
  pulled(*method, u, gw);
  const Values at_gradient = gradients;
  const auto loss = [&](const std::vector<double>& point) {
    levels = {static_cast<float>(point[0]), static_cast<float>(point[1])};
    const Values w = used(*method, u);
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i) sum += static_cast<double>(gw[i]) * static_cast<double>(w[i]);
    return sum;
  };
  // The loss is linear in the levels, so a wide step is exact.
  for (std::size_t k = 0; k < 2; ++k) {
    std::vector<double> above = {0.5, 1}, below = {0.5, 1};
    above[k] += 0.25;
    below[k] -= 0.25;
    CHECK((loss(above) - loss(below)) / 0.5 ==
          doctest::Approx(static_cast<double>(at_gradient[k])).epsilon(1e-6));
  }
}

TEST_CASE("ttq: codes exist only while both levels are equal") {
  const Values u = {2, 0.01F, -1, 1};
  Values levels = {0.75F, 0.75F};
  Values gradients(2), codes(4), scales(1);
  const auto method = make("ttq", one_row(u));
  method->bind(levels, gradients);
  REQUIRE(method->codes(used(*method, u), codes, scales));
  CHECK(codes == Values{1, 0, -1, 1});
  CHECK(scales[0] == 0.75F);
  levels[1] = 0.5F;
  CHECK_FALSE(method->codes(used(*method, u), codes, scales));
  CHECK_FALSE(method->code_range());
}

TEST_CASE("dorefa: known values for one to three bits") {
  const Values four = {-1, 0, 0.5F, 2};
  const float third = 1.0F / 3;
  CHECK(used("dorefa", four) == Values{-1, third, third, 1});
  CHECK(used("dorefa, bits: 1", four) == Values{-0.875F, 0.875F, 0.875F, 0.875F});

  CHECK(used("dorefa, bits: 2", kFive) == Values{1, -third, third, -1, third});
  CHECK(distance(used("dorefa, bits: 3", kFive), {0.714286F, -0.428571F, 0.142857F, -1, 0.142857F}) < 1e-6);
  CHECK(distance(used("dorefa, bits: 1", kFive), {0.56F, -0.56F, 0.56F, -0.56F, 0.56F}) < 1e-7);
  CHECK(used("dorefa", {0, -0.0F}) == Values{third, third});

  const Values u = normals(40, 5);
  CHECK(used("dorefa, bits: 1", u) == used("bwn, scale: tensor", u));
  CHECK(pulled("dorefa, bits: 1", u, u) == u);
}

TEST_CASE("dorefa: codes are the odd integers up to 2^k - 1") {
  for (int bits = 1; bits <= 8; ++bits) {
    CAPTURE(bits);
    const Values u = normals(4000, 6);
    const auto method = make("dorefa, bits: " + std::to_string(bits), one_row(u));
    Values codes(u.size()), scales(1);
    REQUIRE(method->codes(used(*method, u), codes, scales));
    const int top = (1 << bits) - 1;
    REQUIRE(method->code_range());
    CHECK(method->code_range()->lowest == -top);
    CHECK(method->code_range()->highest == top);
    CHECK(std::ranges::all_of(codes, [](float code) { return std::fmod(std::abs(code), 2.0F) == 1; }));
    CHECK(std::ranges::max(codes) == static_cast<float>(bits == 1 ? 1 : top));
    CHECK(method->bits() == bits);
  }
}

TEST_CASE("dorefa: the gradient is that of tanh(u) / M, with M constant or not") {
  const Values u = normals(30, 7);
  const Values gw = normals(30, 8);
  const auto largest = [](const std::vector<double>& point) {
    double result = 0;
    for (const double value : point) result = std::max(result, std::abs(std::tanh(value)));
    return result;
  };
  const double constant = largest({u.begin(), u.end()});
  const auto loss = [&](const std::vector<double>& point, double m) {
    double sum = 0;
    for (std::size_t i = 0; i < point.size(); ++i)
      sum += static_cast<double>(gw[i]) * std::tanh(point[i]) / m;
    return sum;
  };
  CHECK(distance(pulled("dorefa", u, gw), slopes([&](auto& point) { return loss(point, constant); }, u)) <
        1e-6);
  CHECK(distance(pulled("dorefa, max_gradient: exact", u, gw),
                 slopes([&](auto& point) { return loss(point, largest(point)); }, u)) < 1e-6);
  // Two weights equally large: tanh(u) / M = (1, -1) whatever their size, so neither has a gradient left.
  CHECK(distance(pulled("dorefa, max_gradient: exact", {0.5F, -0.5F}, {1, -1}), {0, 0}) < 1e-6);
  CHECK(pulled("dorefa, max_gradient: exact", {0, 0}, {1, 2}) == Values{0, 0});
}

TEST_CASE("alternating: known values for one and two bits") {
  const Values u = {0.1F, 0.9F, 1, 4, -0.5F, -2};
  const auto error = [&](const std::string& keys) {
    return squared_error(u, used("alternating, " + keys, u));
  };
  CHECK(used("alternating, bits: 1", u) == used("bwn", u));
  CHECK(used("alternating, bits: 1", u)[0] == doctest::Approx(1.416667).epsilon(1e-6));
  CHECK(error("bits: 1") == doctest::Approx(10.028333).epsilon(1e-7));

  const Values greedy = used("alternating, refinements: 0", u);
  CHECK(greedy[3] == doctest::Approx(1.4166667 + 1.0555556).epsilon(1e-6));
  CHECK(greedy[0] == doctest::Approx(1.4166667 - 1.0555556).epsilon(1e-6));
  CHECK(error("refinements: 0") == doctest::Approx(3.343148).epsilon(1e-7));

  const Values refined = {0.625F, 0.625F, 0.625F, 3, -0.625F, -3};
  for (const int rounds : {1, 2, 3, 50})
    CHECK(distance(used("alternating, refinements: " + std::to_string(rounds), u), refined) < 1e-6);
  CHECK(error("refinements: 1") == doctest::Approx(2.5075).epsilon(1e-6));

  const Values shrunk = used("alternating, factor: 0.3", u);
  for (std::size_t i = 0; i < u.size(); ++i)
    CHECK(shrunk[i] == doctest::Approx(0.3 * static_cast<double>(refined[i])).epsilon(1e-6));
  CHECK(pulled("alternating, factor: 0.3", u, u) == u);
}

TEST_CASE("alternating: scales of each output channel, or of the tensor") {
  const Values rows = {1, -3, 5, 5};
  CHECK(used(*make("alternating", {2, 2}), rows) == rows);
  CHECK(used(*make("alternating, bits: 1", {2, 2}), rows) == Values{2, -2, 5, 5});
  CHECK(used(*make("alternating, bits: 1, scale: tensor", {2, 2}), rows) == Values{3.5F, -3.5F, 3.5F, 3.5F});
}

TEST_CASE("alternating: the error never rises with a round") {
  for (const std::size_t size : {2U, 9U, 36U, 500U}) {
    const Values u = normals(size, 9);
    for (int bits = 1; bits <= kMostAlternatingBits; ++bits) {
      CAPTURE(size);
      CAPTURE(bits);
      double before = INFINITY;
      for (int rounds = 0; rounds <= 6; ++rounds) {
        Values q(size);
        alternating(u, bits, rounds, q);
        const double error = squared_error(u, q);
        CHECK(error <= before + 1e-9);
        before = error;
        const std::set<float> levels(q.begin(), q.end());
        CHECK(levels.size() <= std::size_t{1} << bits);
      }
    }
  }
}

/// Whether no weight lies nearer to another level in use than to its own.
bool takes_nearest(const Values& u, const Values& q) {
  const std::set<float> levels(q.begin(), q.end());
  for (std::size_t i = 0; i < u.size(); ++i)
    for (const float level : levels)
      if (std::abs(u[i] - level) < std::abs(u[i] - q[i]) - 1e-6F) return false;
  return true;
}

TEST_CASE("alternating: a fixed point is the least squares of its signs, each weight at the nearest sum") {
  const Values u = normals(2000, 10);
  Values q(u.size());
  for (const int bits : {2, 3, 4}) {
    CAPTURE(bits);
    alternating(u, bits, 1000, q);
    CHECK(takes_nearest(u, q));
    // The rest is orthogonal to B and so to q: ||u||^2 = ||q||^2 + ||u - q||^2.
    const Values zero(u.size());
    CHECK(squared_error(u, zero) ==
          doctest::Approx(squared_error(q, zero) + squared_error(u, q)).epsilon(1e-6));
  }
}

// Signs that repeat make B^T B singular: weights all equal, fewer weights than bits, few distinct values.
TEST_CASE("alternating: singular B^T B") {
  Values q(5);
  for (int bits = 1; bits <= kMostAlternatingBits; ++bits) {
    CAPTURE(bits);
    for (const float value : {2.5F, -2.5F, 0.0F}) {
      const Values equal(5, value);
      alternating(equal, bits, 3, q);
      CHECK(distance(q, equal) < 1e-6);
    }
    const Values few = {3, -3, -3, 3, 3};
    alternating(few, bits, 3, q);
    CHECK(distance(q, few) < 1e-6);
    const Values single = {-0.7F};
    Values one(1);
    alternating(single, bits, 2, one);
    CHECK(one[0] == doctest::Approx(-0.7).epsilon(1e-6));
  }
  const Values four = {1, -1, 4, -4, 4};
  alternating(four, 2, 2, q);
  CHECK(distance(q, four) < 1e-6);
}

TEST_CASE("alternating: in place, and halfway between two sums the greater") {
  Values u = normals(300, 11);
  Values q(u.size());
  alternating(u, 3, 2, q);
  alternating(u, 3, 2, u);
  CHECK(u == q);
  // alpha = (2, 1) fits all but the zeros exactly, and they lie between -1 and +1.
  const Values halfway = {3, -3, 1, -1, 0, -0.0F};
  Values w(halfway.size());
  alternating(halfway, 2, 1, w);
  CHECK(w[4] > 0);
  CHECK(w[5] == w[4]);
  alternating({}, 2, 2, {});
}

TEST_CASE("scaled weights: specs are checked") {
  const auto refused = [](const std::string& spec, const std::string& part) {
    return mistakes_of<WeightSpec>("{method: " + spec + "}").find(part) != std::string::npos;
  };
  CHECK(refused("dorefa, bits: 9", "bits: is 9, must be an integer in [1, 8]"));
  CHECK(refused("alternating, bits: 0", "bits: is 0, must be an integer in [1, 8]"));
  CHECK(refused("alternating, factor: 0", "factor: is 0, must be a number > 0"));
  CHECK(refused("ttq, threshold: 1", "threshold: is 1"));
  CHECK(refused("bwn, scale: chanel", "did you mean 'channel'"));
  CHECK(refused("bwn, gradient: released", "gradient: "));
}

}  // namespace qtrain::quant
