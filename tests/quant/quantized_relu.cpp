// The quantized ReLU on known values, and the gradient of its learned step.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>

#include "base/random.hpp"
#include "quant/activation.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

constexpr std::array<float, 9> kInputs = {-1, 0, 1e-9F, 0.5F, 0.50001F, 1.2F, 1.5F, 1.6F, 9};
using Row = std::array<double, 9>;

std::unique_ptr<ActivationQuantizer> make(const std::string& keys) {
  return read_spec<ActivationSpec>("{quantizer: quantized_relu, " + keys + "}").make({"act", {8, 4, 4}});
}

/// d loss / d alpha for a loss that is the i-th output alone, for each i.
Row step_gradients(const ActivationQuantizer& quantizer) {
  Row result{};
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::array<float, 9> gy{};
    gy[i] = 1;
    quantizer.learned_gradient(kInputs, gy, std::span(result).subspan(i, 1));
  }
  return result;
}

double step_of(const std::string& keys) { return static_cast<double>(make(keys)->scale()); }

}  // namespace

TEST_CASE("quantized_relu: two bits, alpha = 1/2") {
  const auto quantizer = make("bits: 2, alpha_value: 0.5");
  CHECK(quantizer->learned().empty());
  CHECK(quantizer->range().high == 1.5F);
  std::array<float, 9> y{};
  quantizer->forward(kInputs, y);
  for (float& value : y) value *= quantizer->scale();
  CHECK(y == std::array<float, 9>{0, 0, 0.5F, 0.5F, 1, 1.5F, 1.5F, 1.5F, 1.5F});
  CHECK_FALSE(std::signbit(y[0]));

  std::array<float, 9> g;
  g.fill(1);
  read_spec<ActivationSpec>("{quantizer: quantized_relu, ste: clipped_relu}")
      .make_ste()
      ->multiply(kInputs, quantizer->range(), g);
  CHECK(g == std::array<float, 9>{0, 0, 1, 1, 1, 1, 1, 0, 0});
}

TEST_CASE("quantized_relu: the four derivatives to alpha") {
  const auto gradients = [](const std::string& rule) {
    return step_gradients(*make("bits: 2, alpha: learned, alpha_value: 0.5, alpha_gradient: " + rule));
  };
  CHECK(gradients("ae") == Row{0, 0, 1, 1, 2, 3, 3, 3, 3});
  CHECK(gradients("mean") == Row{0, 0, 2, 2, 2, 2, 2, 3, 3});
  CHECK(gradients("pact") == Row{0, 0, 0, 0, 0, 0, 0, 3, 3});
  CHECK(gradients("min") == Row{0, 0, 1, 1, 1, 1, 1, 3, 3});
}

TEST_CASE("quantized_relu: `ae` is the slope of the output in alpha where that is smooth") {
  RandomStream random(5, Purpose::test);
  std::vector<float> x(1000);
  std::vector<float> gy(1000);
  for (float& value : x) value = random.normal();
  for (float& value : gy) value = random.normal();
  const auto quantizer = make("bits: 3, alpha: learned, alpha_value: 0.3, alpha_gradient: ae");
  std::array<float, 1> alpha = {0.3F};
  quantizer->bind(alpha);
  double gradient = 100;  // added to, not replaced
  quantizer->learned_gradient(x, gy, {&gradient, 1});

  double slope = 100;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double code = std::min(std::ceil(static_cast<double>(x[i]) / 0.3), 7.0);
    if (x[i] > 0) slope += static_cast<double>(gy[i]) * code;
  }
  CHECK(gradient == doctest::Approx(slope).epsilon(1e-9));
}

TEST_CASE("quantized_relu: a learned alpha moves as the paper's code moves it") {
  const auto parameters = make("bits: 2, alpha: learned")->learned();
  REQUIRE(parameters.size() == 1);
  CHECK(parameters[0].name == "alpha");
  CHECK(parameters[0].initial == std::vector<float>{0.6511F});
  CHECK(parameters[0].low == 1e-3F);
  CHECK(parameters[0].high == 5);
  // rate * clamp(0.01 s, -1, 1) = (0.01 rate) clamp(s, -100, 100)
  CHECK(parameters[0].learning_rate_factor == 0.01);
  CHECK(parameters[0].learning_rate_factor * parameters[0].gradient_limit == doctest::Approx(1));
}

TEST_CASE("quantized_relu: a bound alpha moves scale, range and codes") {
  const auto quantizer = make("bits: 2, alpha: learned, alpha_value: 0.5");
  std::array<float, 1> alpha = {0.5F};
  quantizer->bind(alpha);
  alpha[0] = 1;
  CHECK(quantizer->scale() == 1);
  CHECK(quantizer->range().high == 3);
  std::array<float, 9> codes{};
  quantizer->forward(kInputs, codes);
  CHECK(codes == std::array<float, 9>{0, 0, 1, 1, 1, 2, 2, 2, 3});
}

TEST_CASE("quantized_relu: where alpha starts") {
  CHECK(step_of("bits: 1") == doctest::Approx(1.2221));
  CHECK(step_of("bits: 2") == doctest::Approx(0.6511));
  CHECK(step_of("bits: 4") == doctest::Approx(0.1946));
  CHECK(step_of("bits: 3") == doctest::Approx(0.35341).epsilon(2e-5));
  const std::map<std::string, std::array<double, 4>> fits = {
      {"nearest", {1.22401, 0.65077, 0.35341, 0.19325}},
      {"ceil", {0.79788, 0.48657, 0.28931, 0.16664}},
      {"hwgq", {0.79788, 0.53881, 0.32173, 0.18424}},
  };
  for (const auto& row : fits) {
    CAPTURE(row.first);
    for (std::size_t bits = 1; bits <= 4; ++bits) {
      const double step = step_of(fmt::format("bits: {}, alpha_fit: {}", bits, row.first));
      CHECK(std::abs(step - row.second[bits - 1]) < 2e-5);
    }
  }
  CHECK(step_of("bits: 2, alpha_value: 0.25") == 0.25);
}

}  // namespace qtrain::quant
