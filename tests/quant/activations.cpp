// The activation quantizers on known values, the gradients of what they learn, and which STEs they take.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "base/random.hpp"
#include "quant/activation.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;

std::unique_ptr<ActivationQuantizer> make(const std::string& keys, const Shape& shape = {8, 4, 4}) {
  return read_spec<ActivationSpec>("{ste: identity, quantizer: " + keys + "}").make({"act", shape});
}

Values codes_of(const ActivationQuantizer& quantizer, Values x) {
  quantizer.forward(x, x);
  return x;
}

Values multiplied(const std::string& pair, const ActivationRange& range, const Values& x) {
  Values g(x.size(), 1);
  read_spec<ActivationSpec>(pair).make_ste()->multiply(x, range, g);
  return g;
}

Values normal_values(std::size_t size, std::uint32_t draw, float factor) {
  RandomStream random(8, Purpose::test, draw);
  Values values(size);
  for (float& value : values) value = factor * random.normal();
  return values;
}

/// sum_i gy_i smooth(x_i): the loss of a quantizer without its rounding.
double smooth_loss(const Values& x, const Values& gy, const std::function<double(double)>& smooth) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += static_cast<double>(gy[i]) * smooth(static_cast<double>(x[i]));
  return sum;
}

/// Drops the values that move over one of the edges when these move by `step`, where the loss has a corner.
void keep_clear_of(const std::vector<double>& edges, double step, Values& x) {
  std::erase_if(x, [&](float value) {
    return std::ranges::any_of(
        edges, [&](double edge) { return std::abs(static_cast<double>(value) - edge) < 3 * step; });
  });
}

}  // namespace

TEST_CASE("sign: -1 below 0 alone, and codes that are the values") {
  const auto quantizer = make("sign");
  CHECK(codes_of(*quantizer, {-2, -1e-30F, -0.0F, 0, 1e-30F, 3}) == Values{-1, -1, 1, 1, 1, 1});
  CHECK(quantizer->scale() == 1);
  CHECK(quantizer->levels() == 2);
  CHECK(quantizer->range().low == -1);
  CHECK(quantizer->range().high == 1);
}

TEST_CASE("binary_step: 1 above 0 alone") {
  const auto quantizer = make("binary_step");
  CHECK(codes_of(*quantizer, {-2, -0.0F, 0, 1e-30F, 3}) == Values{0, 0, 0, 1, 1});
  CHECK(quantizer->scale() == 1);
}

TEST_CASE("hwgq: the paper's centres at two bits, and half way goes down") {
  const auto quantizer = make("hwgq, bits: 2");
  const float step = quantizer->scale();
  CHECK(step == doctest::Approx(0.53881).epsilon(2e-5));
  CHECK(std::abs(step - 0.538F) < 1e-3F);
  CHECK(quantizer->range().high == 3 * step);
  CHECK(codes_of(*quantizer, {-1, 0, 1e-30F, 0.25F * step, step, 1.49F * step, 1.5F * step, 1.51F * step,
                              2.49F * step, 2.51F * step, 9}) == Values{0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 3});
  const std::map<int, double> steps = {{1, 0.79788}, {3, 0.32173}, {4, 0.18424}};
  for (const auto& row : steps) {
    const auto other = make("hwgq, bits: " + std::to_string(row.first));
    CHECK(std::abs(static_cast<double>(other->scale()) - row.second) < 2e-5);
  }
  const Values g =
      multiplied("{quantizer: hwgq, ste: clipped_relu}", quantizer->range(), {0, 0.1F, 1.6F, 1.7F});
  CHECK(g == Values{0, 1, 1, 0});
}

TEST_CASE("hwgq: no centre is nearer than the one chosen") {
  const auto quantizer = make("hwgq, bits: 3");
  const double step = static_cast<double>(quantizer->scale());
  const Values x = normal_values(2000, 1, 1.5F);
  const Values codes = codes_of(*quantizer, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] <= 0) continue;
    const double chosen = std::abs(static_cast<double>(x[i]) - step * static_cast<double>(codes[i]));
    for (int k = 1; k <= 7; ++k) REQUIRE(chosen <= std::abs(static_cast<double>(x[i]) - step * k) + 1e-6);
  }
}

TEST_CASE("dorefa: thirds at two bits, half way to the even") {
  const auto quantizer = make("dorefa, bits: 2");
  CHECK(quantizer->scale() == doctest::Approx(1.0 / 3));
  CHECK(codes_of(*quantizer, {-1, 0, 0.16F, 0.17F, 0.49F, 0.5F, 0.51F, 0.83F, 0.84F, 1, 5}) ==
        Values{0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3});
  CHECK(codes_of(*make("dorefa, bits: 1"), {0.49F, 0.5F, 0.51F}) == Values{0, 0, 1});
  CHECK(codes_of(*make("dorefa, bits: 8"), {1, 0.5F, 100 / 255.0F}) == Values{255, 128, 100});
}

TEST_CASE("pact: levels up to alpha, and a gradient from where it clips") {
  const auto quantizer = make("pact, bits: 2, initial: 1.5");
  const Values x = {-1, 0, 0.24F, 0.26F, 0.74F, 0.76F, 1.24F, 1.26F, 1.5F, 9};
  CHECK(quantizer->scale() == 0.5F);
  CHECK(quantizer->range().high == 1.5F);
  CHECK(codes_of(*quantizer, x) == Values{0, 0, 0, 1, 1, 2, 2, 3, 3, 3});
  CHECK(codes_of(*quantizer, {0.25F, 0.75F, 1.25F}) == Values{0, 2, 2});
  for (std::size_t i = 0; i < x.size(); ++i) {
    double gradient = 0;
    const Values gy = {2};
    quantizer->learned_gradient(std::span(x).subspan(i, 1), gy, {&gradient, 1});
    CHECK(gradient == (x[i] >= 1.5F ? 2 : 0));
  }
  const auto parameters = make("pact")->learned();
  REQUIRE(parameters.size() == 1);
  CHECK(parameters[0].name == "alpha");
  CHECK(parameters[0].initial == Values{3});
  CHECK(parameters[0].decay == 2e-4);
  CHECK(make("pact, decay: 0.5")->learned()[0].decay == 0.5);
  CHECK_FALSE(mistakes_of<ActivationSpec>("{quantizer: pact, initial: 0}").empty());
}

TEST_CASE("pact: alpha's gradient is the slope of the clipped output") {
  constexpr double kAlpha = 0.75;
  constexpr double kStep = 1e-5;
  const auto quantizer = make("pact, bits: 3, initial: 0.75");
  Values x = normal_values(1000, 2, 1);
  keep_clear_of({kAlpha}, kStep, x);
  const Values gy = normal_values(x.size(), 3, 1);
  const auto loss = [&](double alpha) {
    return smooth_loss(x, gy, [=](double value) { return std::clamp(value, 0.0, alpha); });
  };
  double gradient = 0;
  quantizer->learned_gradient(x, gy, {&gradient, 1});
  CHECK(gradient ==
        doctest::Approx((loss(kAlpha + kStep) - loss(kAlpha - kStep)) / (2 * kStep)).epsilon(1e-8));
}

TEST_CASE("lsq: known values, with the step's gradient scaled") {
  const Values x = {-1.3F, 0.2F, 0.74F, 2.6F};
  const Values step = {0.5F};
  const auto one = make("lsq, bits: 1", {4});
  CHECK(one->start({.mean_positive = 1.21, .largest = 2.6F})[0] == doctest::Approx(2.42));
  one->bind(step);
  CHECK(codes_of(*one, x) == Values{0, 0, 1, 1});
  const auto two = make("lsq, bits: 2", {4});
  CHECK(two->start({.mean_positive = 1.21, .largest = 2.6F})[0] == doctest::Approx(2.42 / std::sqrt(3.0)));
  two->bind(step);
  CHECK(codes_of(*two, x) == Values{0, 0, 1, 3});
  CHECK(two->range().high == 1.5F);

  const auto gradients = [&](const ActivationQuantizer& quantizer) {
    std::vector<double> each(x.size());
    const Values gy = {1};
    for (std::size_t i = 0; i < x.size(); ++i)
      quantizer.learned_gradient(std::span(x).subspan(i, 1), gy, std::span(each).subspan(i, 1));
    return each;
  };
  const std::array<double, 4> of_one = {0, -0.4, 1, 1};      // over sqrt(4 * 1)
  const std::array<double, 4> of_two = {0, -0.4, -0.48, 3};  // over sqrt(4 * 3)
  for (std::size_t i = 0; i < x.size(); ++i) {
    CHECK(std::abs(gradients(*one)[i] - of_one[i] / 2) < 1e-6);
    CHECK(std::abs(gradients(*two)[i] - of_two[i] / std::sqrt(12.0)) < 1e-6);
  }
  double sum = 0;
  const Values ones(4, 1);
  one->learned_gradient(x, ones, {&sum, 1});
  CHECK(sum == doctest::Approx(0.8));
  CHECK(codes_of(*two, {0.25F, 0.75F, 1.25F}) == Values{0, 2, 2});  // half way to the even
}

TEST_CASE("lsq: the step's gradient is the slope of the output, rounding taken as a constant shift") {
  constexpr double kS = 0.25;
  constexpr double kStep = 1e-6;
  constexpr int kTop = 7;
  Values x = normal_values(1000, 4, 1);
  keep_clear_of({0, kTop * kS}, 10 * kStep, x);
  const Values gy = normal_values(x.size(), 5, 1);
  const auto quantizer = make("lsq, bits: 3", {5, 3, 2});
  const Values step = {static_cast<float>(kS)};
  quantizer->bind(step);
  double gradient = 0;
  quantizer->learned_gradient(x, gy, {&gradient, 1});
  // s (clip(x / s) + shift), shift = round(clip(x / s)) - clip(x / s) at s = kS: the value there, the
  // straight-through slope around.
  const auto loss = [&](double s) {
    return smooth_loss(x, gy, [=](double value) {
      const double start = std::clamp(value / kS, 0.0, double{kTop});
      return s * (std::clamp(value / s, 0.0, double{kTop}) + std::nearbyint(start) - start);
    });
  };
  const double slope = (loss(kS + kStep) - loss(kS - kStep)) / (2 * kStep);
  CHECK(gradient == doctest::Approx(slope / std::sqrt(30.0 * kTop)).epsilon(1e-6));
}

TEST_CASE("qil: known values") {
  const auto quantizer = make("qil, bits: 2");
  const Values interval = {1, 1};
  quantizer->bind(interval);
  CHECK(codes_of(*quantizer, {-1, 0, 0.3F, 0.4F, 1.5F, 1.7F, 2, 9}) == Values{0, 0, 0, 1, 2, 3, 3, 3});
  CHECK(quantizer->scale() == doctest::Approx(1.0 / 3));
  CHECK(quantizer->range().low == 0);
  CHECK(quantizer->range().high == 2);
  CHECK(quantizer->range().slope == 0.5F);

  const Values narrow = {0.5F, 0.4F};  // prunes below 0.1 + 0.4 / 3, clips above 0.9 - 0.4 / 3
  quantizer->bind(narrow);
  CHECK(codes_of(*quantizer, {0.05F, 0.2F, 0.24F, 0.3F, 0.5F, 0.75F, 0.77F, 0.95F}) ==
        Values{0, 0, 1, 1, 2, 2, 3, 3});
  const Values g =
      multiplied("{quantizer: qil, ste: clipped_relu}", quantizer->range(), {0.05F, 0.3F, 0.95F});
  CHECK(g[0] == 0);
  CHECK(g[1] == doctest::Approx(1.25));
  CHECK(g[2] == 0);
  std::array<double, 2> gradients{};
  const Values x = {0.3F, 0.05F, 0.95F};
  const Values gy(3, 1);
  quantizer->learned_gradient(x, gy, gradients);
  CHECK(gradients[0] == doctest::Approx(-1.25));
  CHECK(gradients[1] == doctest::Approx(0.625));
}

TEST_CASE("qil: starts at the largest value; c and d move slower than weights") {
  const auto quantizer = make("qil");
  CHECK(quantizer->start({.mean_positive = 0.8, .largest = 3}) == Values{1.5F, 1.5F});
  CHECK(make("qil, reach: 0.5")->start({.mean_positive = 0.8, .largest = 3}) == Values{0.75F, 0.75F});
  for (const auto& parameter : quantizer->learned()) CHECK(parameter.learning_rate_factor == 0.01);
  for (const auto& parameter : make("qil, interval_rate: 0.5")->learned())
    CHECK(parameter.learning_rate_factor == 0.5);
}

TEST_CASE("qil: gradients of c and d are the slopes of the transformer") {
  constexpr double kStep = 1e-5;
  constexpr double kC = 0.5;
  constexpr double kD = 0.375;
  const auto quantizer = make("qil, bits: 4");
  const Values interval = {0.5F, 0.375F};
  quantizer->bind(interval);
  Values x = normal_values(2000, 6, 1);
  for (float& value : x) value = std::round(value * 1024) / 1024;  // x - c without rounding
  keep_clear_of({kC - kD, kC + kD}, kStep, x);
  const Values gy = normal_values(x.size(), 7, 1);
  const auto loss = [&](double c, double d) {
    return smooth_loss(x, gy,
                       [=](double value) { return std::clamp(0.5 * (value - c) / d + 0.5, 0.0, 1.0); });
  };
  std::array<double, 2> gradients{};
  quantizer->learned_gradient(x, gy, gradients);
  const double of_c = (loss(kC + kStep, kD) - loss(kC - kStep, kD)) / (2 * kStep);
  const double of_d = (loss(kC, kD + kStep) - loss(kC, kD - kStep)) / (2 * kStep);
  CHECK(gradients[0] == doctest::Approx(of_c).epsilon(1e-7));
  CHECK(gradients[1] == doctest::Approx(of_d).epsilon(1e-7));
}

TEST_CASE("STEs: values by hand") {
  const ActivationRange unit{.low = 0, .high = 3};  // two bits, alpha = 1: q = 3
  const auto at = [&](const std::string& ste, const Values& x) {
    return multiplied("{quantizer: quantized_relu, ste: " + ste + "}", unit, x);
  };
  CHECK(at("log_tailed_relu", {-1, 0, 1, 3, 4, 6}) == Values{0, 0, 1, 1, 0.5F, 0.25F});
  const Values exponential = at("reverse_exponential", {-1, 0, 3, 6});
  CHECK(exponential[0] == 0);
  CHECK(exponential[1] == 0);
  CHECK(exponential[2] == doctest::Approx(0.36787944));
  CHECK(exponential[3] == doctest::Approx(0.13533528));

  const ActivationRange both{.low = -1, .high = 1};
  const Values x = {-1.5F, -1, -0.75F, 0, 0.25F, 1, 1.5F};
  CHECK(multiplied("{quantizer: sign, ste: hard_tanh}", both, x) == Values{0, 1, 1, 1, 1, 1, 0});
  CHECK(multiplied("{quantizer: sign, ste: approx_sign}", both, x) == Values{0, 0, 0.5F, 2, 1.5F, 0, 0});
  const Values swish = multiplied("{quantizer: sign, ste: swish_sign, beta: 2}", both, {0, 0.5F, -0.5F, 20});
  CHECK(swish[0] == 2);
  CHECK(swish[1] == doctest::Approx(1.2094645));  // 2 (2 - tanh(1/2)) / (1 + cosh(1))
  CHECK(swish[2] == swish[1]);
  CHECK(std::abs(swish[3]) < 1e-15F);
}

TEST_CASE("STEs: which quantizer takes which") {
  const std::set<std::string> two_sided = {"identity", "hard_tanh", "approx_sign", "swish_sign"};
  const std::set<std::string> one_sided = {"identity", "relu", "clipped_relu", "reverse_exponential",
                                           "log_tailed_relu"};
  std::set<std::string> all = two_sided;
  all.insert(one_sided.begin(), one_sided.end());
  const std::set<std::string> window = {"identity", "clipped_relu"};
  const std::map<std::string, std::set<std::string>> taken = {
      {"sign", two_sided}, {"binary_step", all},  {"quantized_relu", one_sided},
      {"hwgq", one_sided}, {"dorefa", one_sided}, {"pact", one_sided},
      {"lsq", window},     {"qil", window}};
  const std::string mistake = mistakes_of<ActivationSpec>("{quantizer: sign, ste: relu}");
  CHECK(mistake.find("ste: is relu, but sign has its one step at 0") != std::string::npos);
  for (const auto& row : taken) {
    const std::string& name = row.first;
    CAPTURE(name);
    const auto quantizer = std::ranges::find(activation_quantizers(), name, &ActivationEntry::name);
    REQUIRE(quantizer != activation_quantizers().end());
    for (const std::string& ste : all) {
      CAPTURE(ste);
      CHECK(quantizer->refuses(ste).empty() == row.second.contains(ste));
    }
  }
}

}  // namespace qtrain::quant
