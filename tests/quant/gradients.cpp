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
  return read_spec<GradientSpec>("{method: " + keys + "}").make.exchanged();
}

/// g after its message, with random stream `draw`.
Values sent(const GradientQuantizer& quantizer, const Values& g, std::uint32_t draw) {
  RandomStream random(1, Purpose::test, draw);
  std::vector<std::byte> message(quantizer.message_bytes(g.size()));
  Values memory(quantizer.memory_size(g.size()));
  quantizer.encode(g, {.scale = quantizer.scale(g), .learning_rate = 0.1, .memory = memory}, random, message);
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

TEST_CASE("gradients: a message holds no more levels than its bits, and follows from its random stream") {
  for (const GradientEntry& entry : gradient_methods()) {
    const GradientMethod method = read_spec<GradientSpec>(fmt::format("{{method: {}}}", entry.name)).make;
    CHECK(static_cast<bool>(method.exchanged) != static_cast<bool>(method.propagated));
    if (!method.exchanged) continue;
    CAPTURE(entry.name);
    const auto quantizer = method.exchanged();
    const Values g = gaussian(300);
    const Values received = sent(*quantizer, g, 2);
    const std::size_t bits = 8 * quantizer->message_bytes(g.size()) / g.size();  // scales take less than one
    CHECK(std::set<float>(received.begin(), received.end()).size() <= std::size_t{1} << bits);
    CHECK(sent(*quantizer, g, 2) == received);
  }
}

TEST_CASE("unbiased gradients: zeros stay zero, another stream gives another message") {
  for (const char* name : {"stochastic_linear", "terngrad", "qsgd"}) {
    CAPTURE(name);
    const auto quantizer = make(name);
    CHECK(sent(*quantizer, Values(700, 0.0F), 1) == Values(700, 0.0F));
    CHECK(sent(*quantizer, gaussian(300), 2) != sent(*quantizer, gaussian(300), 3));
  }
}

TEST_CASE("sign_sgd: one bit a value, the majority decides, a tie is no step") {
  const auto quantizer = make("sign_sgd");
  CHECK(quantizer->message_bytes(1001) == 126);
  CHECK(sent(*quantizer, {0.5F, -0.25F, 0, -0.0F, -3}, 1) == Values{1, -1, 1, 1, -1});
  Values votes = {3, -1, 0, 1, -2};  // sums of signs
  quantizer->combine(votes, 3);
  CHECK(votes == Values{1, -1, 0, 1, -1});
}

TEST_CASE("signum: signs of a mean that forgets by beta") {
  const auto quantizer = make("signum, momentum: 0.5");
  RandomStream random(1, Purpose::test);
  Values memory(quantizer->memory_size(2)), received(2);
  std::vector<std::byte> message(quantizer->message_bytes(2));
  // m is halved, and half of g added
  const std::vector<std::pair<Values, Values>> steps = {
      {{2, -2}, {1, -1}}, {{-0.5F, 3}, {0.25F, 1}}, {{-4, -0.5F}, {-1.875F, 0.25F}}};
  for (const auto& [g, mean] : steps) {
    quantizer->encode(g, {.memory = memory}, random, message);
    quantizer->decode(message, received);
    CHECK(memory == mean);
    for (std::size_t i = 0; i < 2; ++i) CHECK(received[i] == (mean[i] < 0 ? -1.0F : 1.0F));
  }
}

TEST_CASE("ef_sign_sgd: what a step leaves out is in the next one") {
  const auto quantizer = make("ef_sign_sgd");
  RandomStream random(1, Purpose::test);
  Values e(quantizer->memory_size(4)), received(4);
  std::vector<std::byte> message(quantizer->message_bytes(4));
  CHECK(message.size() == 5);
  constexpr double kRate = 0.5;
  const Values g = {4, -2, 0, 2};
  // p = (2, -1, 0, 1), ||p||_1 / d = 1, Delta = (1, -1, 1, 1), e = (1, 0, -1, 0)
  quantizer->encode(g, {.learning_rate = kRate, .memory = e}, random, message);
  quantizer->decode(message, received);
  CHECK(received == Values{2, -2, 2, 2});  // Delta / gamma
  CHECK(e == Values{1, 0, -1, 0});
  // Error feedback: over many steps the sum of Delta differs from that of gamma g by e alone.
  Values sum = {1, -1, 1, 1}, exact = {2, -1, 0, 1};
  for (int step = 1; step < 50; ++step) {
    quantizer->encode(g, {.learning_rate = kRate, .memory = e}, random, message);
    quantizer->decode(message, received);
    for (std::size_t i = 0; i < 4; ++i) {
      sum[i] += 0.5F * received[i];
      exact[i] += 0.5F * g[i];
      CHECK(sum[i] + e[i] == doctest::Approx(exact[i]).epsilon(1e-5));
    }
  }
  const Values before = e;
  quantizer->encode(g, {.learning_rate = 0, .memory = e}, random, message);
  quantizer->decode(message, received);
  CHECK(e == before);
  for (const float value : received) CHECK(value == 0);
}

TEST_CASE("dorefa gradients: levels, range and mean of one sample's") {
  for (const int bits : {1, 2, 4, 6}) {
    CAPTURE(bits);
    const auto quantizer =
        read_spec<GradientSpec>(fmt::format("{{method: dorefa, bits: {}}}", bits)).make.propagated();
    const int top = (1 << bits) - 1;
    const Values g = {0.5F, -0.25F, 0.1F, 0, -2};
    std::vector<double> mean(g.size(), 0.0);
    constexpr int kDraws = 20'000;
    for (std::uint32_t draw = 0; draw < kDraws; ++draw) {
      RandomStream random(1, Purpose::test, draw);
      Values quantized = g;
      quantizer->quantize(quantized, random);
      for (std::size_t i = 0; i < g.size(); ++i) {
        const double level = (static_cast<double>(quantized[i]) / 4 + 0.5) * top;  // M = 2
        REQUIRE(std::abs(level - std::round(level)) < 1e-5);
        REQUIRE(std::abs(quantized[i]) <= 2);
        mean[i] += static_cast<double>(quantized[i]) / kDraws;
      }
    }
    // Uniform noise of one step's width makes rounding unbiased within the range.
    for (std::size_t i = 0; i < g.size(); ++i)
      CHECK(std::abs(mean[i] - static_cast<double>(g[i])) < 5 * 4.0 / top / std::sqrt(kDraws));
    Values zeros(3, 0.0F);
    RandomStream random(1, Purpose::test);
    quantizer->quantize(zeros, random);
    CHECK(zeros == Values(3, 0.0F));
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
    quantizer->encode(workers[n], {.scale = 0.9F}, random, message);
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

TEST_CASE("gradient spec: clip, biases and smallest without a method are mistakes, but for their defaults") {
  const auto lacks = [](const std::string& keys, const std::string& sentence) {
    return mistakes_of<GradientSpec>(keys).find(sentence) == std::string::npos;
  };
  CHECK_FALSE(lacks("{clip: 2}", "clip: is 2, but no gradient is quantized: must be 0"));
  CHECK_FALSE(lacks("{biases: true}", "biases: is true, but no gradient is quantized: must be false"));
  CHECK_FALSE(
      lacks("{method: none, smallest: 7}", "smallest: is 7, but no gradient is quantized: must be 1"));
  CHECK(mistakes_of<GradientSpec>("{method: none, clip: 0, biases: false, smallest: 1, decay: true}") == "");
  CHECK(mistakes_of<GradientSpec>("{method: terngrad, clip: 2, biases: true, smallest: 7}") == "");
  CHECK_FALSE(lacks("{method: terngad}", "did you mean 'terngrad'"));
  CHECK(lacks("{method: terngad, clip: 2}", "clip"));
  CHECK_FALSE(read_spec<GradientSpec>("{}").make.exchanged);
  CHECK(mistakes_of<GradientSpec>("{method: dorefa, clip: 2}").find("must be left out") != std::string::npos);
}

}  // namespace qtrain::quant
