// The exchange of gradients among simulated workers, against sums written out, and the bytes it says it
// sends.
#include "dist/exchange.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "read_spec.hpp"

namespace qtrain::dist {
namespace {

using Values = std::vector<float>;

constexpr std::size_t kWeights = 1000, kBiases = 10;

/// Workers whose gradients are drawn; a weight tensor that is quantized, and biases that are not.
struct Fixture {
  explicit Fixture(int workers, const std::string& keys, Protocol protocol = Protocol::all_reduce)
      : transport(make_simulated(workers)),
        spec(read_spec<quant::GradientSpec>(keys)),
        exchange(*transport,
                 {{.gradient = biases, .quantized = false, .index = 0},
                  {.gradient = weights, .quantized = true, .index = 1}},
                 spec, protocol, 5) {
    RandomStream random(2, Purpose::test);
    for (int worker = 0; worker < workers; ++worker) {
      for (Values* values : {&of_weights.emplace_back(kWeights), &of_biases.emplace_back(kBiases)})
        for (float& value : *values) value = random.normal();
    }
  }
  void run(const std::vector<int>& images, std::int64_t step = 0) {
    ThreadPool pool(1);
    for (std::size_t worker = 0; worker < of_weights.size(); ++worker) {
      weights = of_weights[worker];
      biases = of_biases[worker];
      exchange.put(static_cast<int>(worker));
    }
    exchange.run(images, 0.5, step, pool);
  }

  Values weights = Values(kWeights), biases = Values(kBiases);
  std::unique_ptr<Transport> transport;
  quant::GradientSpec spec;
  Exchange exchange;
  std::vector<Values> of_weights, of_biases;
};

}  // namespace

TEST_CASE("floats: the mean over images, in the order of the workers") {
  for (const std::vector<int>& images : {std::vector<int>{8, 8, 8}, {3, 5, 4}, {2, 0, 2}}) {
    Fixture fixture(3, "{}");
    fixture.run(images);
    const double total = std::accumulate(images.begin(), images.end(), 0);
    const auto mean = [&](const std::vector<Values>& gradients, std::size_t i) {
      double sum = 0;
      for (std::size_t n = 0; n < 3; ++n) sum += images[n] * static_cast<double>(gradients[n][i]);
      return sum / total;
    };
    for (std::size_t i = 0; i < kWeights; ++i)
      CHECK(std::abs(static_cast<double>(fixture.weights[i]) - mean(fixture.of_weights, i)) < 1e-6);
    CHECK(fixture.biases[3] == doctest::Approx(mean(fixture.of_biases, 3)));
  }
}

TEST_CASE("one worker's floats come back bit by bit") {
  Fixture fixture(1, "{}");
  fixture.run({96});
  CHECK(fixture.weights == fixture.of_weights[0]);
  CHECK(fixture.biases == fixture.of_biases[0]);
}

TEST_CASE("quantized weights: the mean of what each worker's message says; biases stay floats") {
  Fixture fixture(2, "{method: stochastic_linear, bits: 3, clip: 2}");
  fixture.run({4, 4}, 7);
  const auto quantizer = fixture.spec.make.exchanged();
  std::vector<Values> decoded;
  for (std::uint32_t n = 0; n < 2; ++n) {
    Values g = fixture.of_weights[n];
    quant::clip_gradient(2, g);
    RandomStream random(5, Purpose::stochastic_gradients, 1, n, 7);
    std::vector<std::byte> message(quantizer->message_bytes(kWeights));
    quantizer->encode(g, {.scale = quantizer->scale(g)}, random, message);
    quantizer->decode(message, decoded.emplace_back(kWeights));
  }
  for (std::size_t i = 0; i < kWeights; ++i) CHECK(fixture.weights[i] == (decoded[0][i] + decoded[1][i]) / 2);
  CHECK(fixture.biases[0] == (fixture.of_biases[0][0] + fixture.of_biases[1][0]) / 2);
  Fixture same(2, "{method: stochastic_linear, bits: 3, clip: 2}"),
      later(2, "{method: stochastic_linear, bits: 3, clip: 2}");
  same.run({4, 4}, 7);
  later.run({4, 4}, 8);
  CHECK(same.weights == fixture.weights);
  CHECK(later.weights != fixture.weights);
}

TEST_CASE("terngrad's workers share the largest scale: levels of the mean are multiples of s / N") {
  Fixture fixture(3, "{method: terngrad}");
  fixture.run({4, 4, 4});
  float largest = 0;
  for (const Values& g : fixture.of_weights) largest = std::max(largest, quant::largest_gradient(g));
  for (const float value : fixture.weights) {
    const float level = value / largest * 3;
    CHECK(std::abs(level - std::round(level)) < 1e-5F);
  }
}

TEST_CASE("sign_sgd: the majority of three, no step where two disagree") {
  Fixture three(3, "{method: sign_sgd}"), two(2, "{method: sign_sgd}");
  three.run({4, 4, 4});
  two.run({4, 4});
  const auto sign = [](float value) { return value < 0 ? -1 : 1; };
  for (std::size_t i = 0; i < kWeights; ++i) {
    const int votes =
        sign(three.of_weights[0][i]) + sign(three.of_weights[1][i]) + sign(three.of_weights[2][i]);
    CHECK(three.weights[i] == static_cast<float>(votes > 0 ? 1 : -1));
    CHECK(two.weights[i] ==
          static_cast<float>((sign(two.of_weights[0][i]) + sign(two.of_weights[1][i])) / 2));
  }
}

TEST_CASE("ef_sign_sgd: each worker remembers its own errors") {
  Fixture fixture(2, "{method: ef_sign_sgd}");
  CHECK(fixture.exchange.memory_of_worker() == kWeights);
  CHECK(fixture.exchange.memory().size() == 2 * kWeights);
  fixture.run({4, 4});
  for (std::size_t n = 0; n < 2; ++n) {
    double norm = 0;
    for (const float value : fixture.of_weights[n]) norm += std::abs(0.5 * static_cast<double>(value));
    const double delta = norm / kWeights;
    for (std::size_t i = 0; i < kWeights; ++i) {
      const double p = 0.5 * static_cast<double>(fixture.of_weights[n][i]);
      CHECK(std::abs(static_cast<double>(fixture.exchange.memory()[n * kWeights + i]) -
                     (p - (p < 0 ? -delta : delta))) < 1e-6);
    }
  }
}

TEST_CASE("a worker without images has no say, and remembers nothing new") {
  for (const char* method : {"ef_sign_sgd", "terngrad", "sign_sgd"}) {
    CAPTURE(std::string(method));
    const std::string keys = fmt::format("{{method: {}}}", method);
    Fixture two(2, keys), one(1, keys);
    for (float& value : two.of_weights[1]) value *= 100;
    two.run({4, 0});
    one.run({4});
    CHECK(two.weights == one.weights);
    CHECK(two.biases == one.biases);
    const std::size_t own = two.exchange.memory_of_worker();
    for (std::size_t i = own; i < two.exchange.memory().size(); ++i) CHECK(two.exchange.memory()[i] == 0);
  }
}

TEST_CASE("bytes: m d bits and a scale a message, floats else, and what float32 would take") {
  constexpr std::int64_t kFloats = 4 * (kWeights + kBiases);
  for (const int bits : {2, 3, 4, 8}) {
    const std::int64_t message = 4 + (static_cast<std::int64_t>(kWeights) * bits + 7) / 8;
    const std::string keys = fmt::format("{{method: stochastic_linear, bits: {}}}", bits);
    for (const std::int64_t workers : {1, 2, 5}) {
      const Traffic server =
          Fixture(static_cast<int>(workers), keys, Protocol::parameter_server).exchange.traffic();
      CHECK(server.sent == workers * (message + 4 * static_cast<std::int64_t>(kBiases)));
      CHECK(server.sent_in_floats == workers * kFloats);
      CHECK(server.received == 0);  // what the server sends back is counted with its weights
      const Traffic all = Fixture(static_cast<int>(workers), keys).exchange.traffic();
      CHECK(all.sent ==
            workers * (workers - 1) * message + 2 * (workers - 1) * 4 * static_cast<std::int64_t>(kBiases));
      CHECK(all.sent_in_floats == 2 * (workers - 1) * kFloats);
      CHECK(all.received == all.sent);
    }
  }
  const Traffic shared = Fixture(4, "{method: terngrad}", Protocol::parameter_server).exchange.traffic();
  CHECK(shared.sent == 4 * (4 + 250 + 40 + 4));
  CHECK(shared.received == 4 * 4);
}

TEST_CASE("agreement of one process with itself") {
  const auto transport = make_simulated(3);
  const Agreement agreement = agree(*transport, "spec");
  CHECK(agreement.same);
  CHECK(agreement.leader == "spec");
}

}  // namespace qtrain::dist
