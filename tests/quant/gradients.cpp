// Gradient quantizers: means and variances worked out from the papers' formulas, and real messages.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <set>

#include "quant/gradient.hpp"
#include "read_spec.hpp"

namespace qtrain::quant {
namespace {

using Values = std::vector<float>;
const Values kGradient = {0.5F, -0.25F, 0.1F, 0, -1};

std::unique_ptr<GradientQuantizer> make(const std::string& keys) {
  return read_spec<GradientSpec>("{method: " + keys + "}").make();
}

/// g after its message, with random stream `draw`.
Values sent(const GradientQuantizer& quantizer, const Values& g, std::uint32_t draw) {
  RandomStream random(1, Purpose::test, draw);
  std::vector<std::byte> message(quantizer.message_bytes(g.size()));
  quantizer.encode(g, quantizer.scale(g), random, message);
  Values received(g.size());
  quantizer.decode(message, received);
  return received;
}

/// Variance of the whole vector: sum of (scale / top)^2 p (1 - p).
double variance(const Values& g, float scale, int top) {
  double sum = 0;
  for (const float value : g) {
    const double up = stochastic_level(value, scale, top).up;
    sum += up * (1 - up);
  }
  return sum * std::pow(static_cast<double>(scale) / top, 2);
}

/// ||g~||^2 / ||g||^2 of one message.
double blow_up(const std::string& keys, Values g, double clip) {
  double before = 0, after = 0;
  for (const float value : g) before += static_cast<double>(value) * static_cast<double>(value);
  clip_gradient(clip, g);
  for (const float value : sent(*make(keys), g, 5))
    after += static_cast<double>(value) * static_cast<double>(value);
  return after / before;
}

Values gaussian(std::size_t size) {
  RandomStream random(9, Purpose::test);
  Values g(size);
  for (float& value : g) value = random.normal();
  return g;
}

}  // namespace

TEST_CASE("stochastic_linear: exact variances of SQ2, SQ3, SQ4") {
  CHECK(variance(kGradient, 1, 1) == doctest::Approx(0.5275).epsilon(1e-7));
  CHECK(variance(kGradient, 1, 3) == doctest::Approx(0.0719444).epsilon(1e-5));
  CHECK(variance(kGradient, 1, 7) == doctest::Approx(0.0132143).epsilon(1e-5));
}

TEST_CASE("qsgd: exact variances for s = 1, 2, 4, and the bound of its paper") {
  const Values v = {3, -4, 0, 0};
  CHECK(variance(v, 5, 1) == doctest::Approx(10).epsilon(1e-6));
  CHECK(variance(v, 5, 2) == doctest::Approx(2.5).epsilon(1e-6));
  CHECK(variance(v, 5, 4) == doctest::Approx(0.625).epsilon(1e-6));
  for (const int s : {1, 2, 4}) CHECK(variance(v, 5, s) <= std::min(4.0 / (s * s), 2.0 / s) * 25);
}

TEST_CASE("gradient messages: the mean is the gradient, the variance the exact one") {
  constexpr int kDraws = 40'000;
  const std::vector<std::pair<std::string, int>> kinds = {{"stochastic_linear, bits: 2", 1},
                                                          {"stochastic_linear, bits: 3", 3},
                                                          {"stochastic_linear, bits: 4", 7},
                                                          {"terngrad", 1},
                                                          {"qsgd, levels: 2, norm: max", 2}};
  for (const auto& [keys, top] : kinds) {
    CAPTURE(keys);
    const auto quantizer = make(keys);
    std::vector<double> mean(kGradient.size(), 0.0);
    double squares = 0;
    for (std::uint32_t draw = 0; draw < kDraws; ++draw) {
      const Values received = sent(*quantizer, kGradient, draw);
      for (std::size_t i = 0; i < received.size(); ++i) {
        mean[i] += static_cast<double>(received[i]) / kDraws;
        squares += std::pow(static_cast<double>(received[i]) - static_cast<double>(kGradient[i]), 2) / kDraws;
      }
      REQUIRE(received[3] == 0);
      REQUIRE(received[4] == -1);  // the largest is never changed
    }
    for (std::size_t i = 0; i < mean.size(); ++i)
      CHECK(std::abs(mean[i] - static_cast<double>(kGradient[i])) <= 5 * 0.5 / std::sqrt(kDraws));
    CHECK(squares == doctest::Approx(variance(kGradient, 1, top)).epsilon(0.02));
  }
}

TEST_CASE("gradient messages take the bits they should, and values on levels come back unchanged") {
  for (int bits = 2; bits <= 8; ++bits) {
    const auto quantizer = make(fmt::format("stochastic_linear, bits: {}", bits));
    for (const std::size_t size : {0U, 1U, 7U, 8U, 1000U, 1001U})
      CHECK(quantizer->message_bytes(size) == 4 + (size * static_cast<std::size_t>(bits) + 7) / 8);
    const int top = (1 << (bits - 1)) - 1;
    Values on_levels;
    for (int level = -top; level <= top; ++level) on_levels.push_back(static_cast<float>(level));
    CHECK(sent(*quantizer, on_levels, 1) == on_levels);
  }
  CHECK(make("terngrad")->message_bytes(1000) == 4 + 250);
  CHECK(make("qsgd, levels: 4, bucket: 512")->message_bytes(1000) == 4 + 256 + 4 + 244);
}

TEST_CASE("gradients: zeros stay zero, and a message holds no more levels than its bits") {
  for (const GradientEntry& entry : gradient_methods()) {
    CAPTURE(entry.name);
    const auto quantizer = make(entry.name);
    CHECK(sent(*quantizer, Values(700, 0.0F), 1) == Values(700, 0.0F));
    const Values g = gaussian(300);
    const Values received = sent(*quantizer, g, 2);
    CHECK(std::set<float>(received.begin(), received.end()).size() <= 4);
    CHECK(sent(*quantizer, g, 2) == received);
    CHECK(sent(*quantizer, g, 3) != received);
  }
}

// TernGrad's example: three workers share s = 0.9; the mean of their messages is a multiple of s / 3.
TEST_CASE("terngrad: messages with a shared scale average to multiples of s / N") {
  const auto quantizer = make("terngrad");
  CHECK(quantizer->shares_scale());
  const std::array<Values, 3> workers = {Values{0.3F, -0.9F, 0, 0.6F}, Values{0.9F, -0.3F, 0.1F, 0},
                                         Values{0.6F, -0.6F, -0.1F, 0.3F}};
  Values sum(4);
  for (std::size_t n = 0; n < workers.size(); ++n) {
    RandomStream random(1, Purpose::test, static_cast<std::uint32_t>(n));
    std::vector<std::byte> message(quantizer->message_bytes(4));
    Values received(4);
    quantizer->encode(workers[n], 0.9F, random, message);
    quantizer->decode(message, received);
    for (std::size_t i = 0; i < 4; ++i) sum[i] += received[i];
  }
  for (const float value : sum) CHECK(std::abs(value / 0.9F - std::round(value / 0.9F)) <= 1e-6F);
}

TEST_CASE("gradients of a Gaussian blow up with their number, and do not when clipped") {
  const Values few = gaussian(1600), many = gaussian(100'000);
  // Not clipped, it is s sum |g| / sum g^2 with s = max |g|, for s sqrt(2 / pi) on average.
  for (const Values& g : {few, many}) {
    double magnitudes = 0, squares = 0;
    for (const float value : g) {
      magnitudes += std::abs(static_cast<double>(value));
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double s = static_cast<double>(largest_gradient(g));
    CHECK(blow_up("stochastic_linear, bits: 2", g, 0) ==
          doctest::Approx(s * magnitudes / squares).epsilon(0.03));
  }
  CHECK(blow_up("stochastic_linear, bits: 2", many, 0) > blow_up("stochastic_linear, bits: 2", few, 0));
  for (const Values& g : {few, many}) {
    CHECK(blow_up("stochastic_linear, bits: 2", g, 3) == doctest::Approx(2.39).epsilon(0.03));
    CHECK(blow_up("stochastic_linear, bits: 3", g, 3) == doctest::Approx(1.16).epsilon(0.03));
    CHECK(blow_up("stochastic_linear, bits: 4", g, 3) == doctest::Approx(1.03).epsilon(0.03));
    // sqrt(2 / pi) c Delta + 1
    CHECK(blow_up("stochastic_linear, bits: 2", g, 3) <= 3.394);
  }
}

TEST_CASE("clip_gradient: at c standard deviations about the mean, not at all for 0") {
  Values g = {1, 1, 1, 5};  // mean 2, deviation sqrt 3
  clip_gradient(0, g);
  CHECK(g[3] == 5);
  clip_gradient(2, g);
  CHECK(g[0] == 1);
  CHECK(g[3] == doctest::Approx(2 * std::sqrt(3.0)));
}

TEST_CASE("gradient spec: clip without a method is a mistake") {
  CHECK(mistakes_of<GradientSpec>("{clip: 2}").find("clip: is given") != std::string::npos);
  CHECK(mistakes_of<GradientSpec>("{method: terngad}").find("did you mean 'terngrad'") != std::string::npos);
  CHECK_FALSE(read_spec<GradientSpec>("{}").make);
}

}  // namespace qtrain::quant
