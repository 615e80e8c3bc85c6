#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.hpp"
#include "engine/quantizers.hpp"

using namespace qtrain;
using namespace qtrain::engine;
using engine::test::ChannelSign;
using engine::test::Data;
using engine::test::HardTanh;
using engine::test::Net;
using engine::test::Outcome;
using engine::test::sign_everything;
using engine::test::SignActivation;
using engine::test::Steps;
using engine::test::train_some;

namespace {

Net one_block_net() {
  Net net({3, 6, 6}, 4);
  net.conv(8, 3, 1, 1);
  net.norm(true);
  net.act();
  net.flatten();
  net.linear(4);
  return net;
}

/// Layer 1 is a convolution of 64 5x5 filters on 3 channels, layer 3 linear.
Net net_that_starts_by(model::Init init, double deviation) {
  Net net({3, 8, 8}, 4);
  net.conv(64, 5, 1, 2, true);
  net.flatten();
  net.linear(4);
  net.graph.layers[1].init = init;
  net.graph.layers[1].deviation = deviation;
  return net;
}

}  // namespace

TEST_CASE("results do not depend on the number of threads") {
  const Net net = engine::test::residual_net(16, true);
  const Quantization q = sign_everything(net.graph);
  for (const int count : {32, 27}) {
    const Outcome one = train_some(net.graph, q, {.threads = 1, .shard = 4, .batch = 32}, count);
    for (const int threads : {2, 3, 5})
      CHECK(one == train_some(net.graph, q, {.threads = threads, .shard = 4, .batch = 32}, count));
  }
}

/// y = clip(round(x / s)) s with s learned, starting at half the mean of max(x, 0).
class Learned final : public quant::ActivationQuantizer {
 public:
  void forward(std::span<const float> x, std::span<float> codes) const override {
    for (std::size_t k = 0; k < x.size(); ++k)
      codes[k] = std::clamp(std::nearbyint(x[k] / scale()), 0.0f, 3.0f);
  }
  float scale() const override { return *step_; }
  quant::ActivationRange range() const override { return {0, 3 * scale()}; }
  int lowest_code() const override { return 0; }
  int highest_code() const override { return 3; }
  std::vector<quant::LearnedParameter> learned() const override { return {{.name = "s", .initial = {1}}}; }
  void bind(std::span<const float> values) override { step_ = values.data(); }
  bool starts_from_data() const override { return true; }
  std::vector<float> start(const quant::ActivationStatistics& seen) const override {
    return {static_cast<float>(seen.mean_positive / 2)};
  }

 private:
  const float* step_ = nullptr;
};

TEST_CASE(
    "quantizers that start from data see their layer's values of the batch, layers before them started") {
  Net net({3, 6, 6}, 4);
  const int first = net.act();
  net.conv(8, 3, 1, 1);
  net.norm(true);
  const int second = net.act();
  net.flatten();
  net.linear(4);
  Quantization q = sign_everything(net.graph);
  q.activations = [](const quant::ActivationTensor&) { return std::make_unique<Learned>(); };
  const Data data(net.graph, 7);
  const auto started = [&](int threads, const std::vector<int>& loaded) {
    Engine engine(net.graph, q, {}, {.threads = threads, .shard = 2, .batch = 8});
    CHECK(engine.starts_from_data());
    engine.use_weights({});
    engine.start_quantizers(data.images, 7, loaded);
    for (const StatisticsSlot& slot : engine.statistics())
      for (const float value : slot.values) CHECK((value == 0 || value == 1));
    std::map<std::string, std::pair<float, int>> values;
    for (const ParameterSlot& slot : engine.slots())
      if (slot.kind == ParameterSlot::Kind::learned) values[slot.name] = {engine.used(slot)[0], slot.index};
    return values;
  };
  double positive = 0;
  for (const float x : data.images) positive += std::max(static_cast<double>(x), 0.0);
  const auto one = started(1, {});
  const auto name = [&](int layer) { return net.graph.layers[static_cast<std::size_t>(layer)].name + ".s"; };
  CHECK(one.at(name(first)).first ==
        static_cast<float>(positive / static_cast<double>(data.images.size()) / 2));
  // Batch norm makes its values N(0, 1), about: mean sqrt(1 / (2 pi)).
  CHECK(one.at(name(second)).first == doctest::Approx(0.199).epsilon(0.05));
  CHECK(started(3, {}) == one);
  const auto kept = started(1, {one.at(name(first)).second});
  CHECK(kept.at(name(first)).first == 1);
  CHECK(kept.at(name(second)).first != 1);
}

TEST_CASE("the float copy uses the latents, in layers whose codes are convolved as integers too") {
  const Net net = engine::test::residual_net(16, true);
  const Data data(net.graph, 6);
  const Quantization q = sign_everything(net.graph);
  Quantization none = q;
  for (auto& make : none.weights) make = nullptr;
  Engine quantized(net.graph, q, {}, {.shard = 4, .batch = 8});
  Engine in_floats(net.graph, none, {}, {.shard = 4, .batch = 8});
  REQUIRE(quantized.latents().size() == in_floats.latents().size());
  quantized.use_weights({}, Weights::latent);
  in_floats.use_weights({});
  CHECK(quantized.logits(data.images, 6) == in_floats.logits(data.images, 6));
  quantized.use_weights({});
  CHECK(quantized.logits(data.images, 6) != in_floats.logits(data.images, 6));
}

TEST_CASE("running statistics follow the batches unless they are kept") {
  const Net net = one_block_net();
  const Data data(net.graph, 8);
  for (const bool keep : {false, true}) {
    Engine engine(net.graph, {}, {}, {.shard = 4, .batch = 8, .keep_statistics = keep});
    engine.use_weights({});
    engine.train(data.images, data.labels);
    for (const StatisticsSlot& slot : engine.statistics()) {
      const float start = slot.name.ends_with("mean") ? 0.0f : 1.0f;
      CHECK(std::ranges::all_of(slot.values, [&](float value) { return value == start; }) == keep);
    }
  }
}

TEST_CASE("a quantized bias is used, and its gradient pulled") {
  Net net({3, 6, 6}, 4);
  net.flatten();
  net.linear(4);
  const auto parameters = model::parameters(net.graph);
  Quantization q;
  q.weights.resize(parameters.size());
  for (std::size_t p = 0; p < parameters.size(); ++p)
    if (parameters[p].kind == model::Parameter::Kind::bias)
      q.weights[p] = [](const quant::WeightTensor&) { return std::make_unique<ChannelSign>(1); };
  Engine engine(net.graph, q, {}, {.shard = 4, .batch = 8}),
      plain(net.graph, {}, {}, {.shard = 4, .batch = 8});
  const Data data(net.graph, 6);
  CHECK(std::equal(engine.latents().begin(), engine.latents().end(), plain.latents().begin()));
  const ParameterSlot* bias = nullptr;
  for (const ParameterSlot& slot : engine.slots())
    if (slot.kind == ParameterSlot::Kind::bias) bias = &slot;
  REQUIRE(bias != nullptr);
  for (float& u : engine.latents().subspan(bias->offset, bias->size)) u = -3;
  for (float& u : plain.latents().subspan(bias->offset, bias->size)) u = -0.25f;
  engine.use_weights({});
  plain.use_weights({});
  engine.train(data.images, data.labels);
  plain.train(data.images, data.labels);
  engine.pull_gradients();
  plain.pull_gradients();
  CHECK(std::equal(engine.gradients().begin(), engine.gradients().end(), plain.gradients().begin()));
  CHECK(engine.logits(data.images, 6) == plain.logits(data.images, 6));
}

TEST_CASE("no step reads a tensor that the arena gave to another") {
  for (const bool option_a : {true, false}) {
    const Net net = engine::test::residual_net(19, option_a);
    const Outcome plain = train_some(net.graph, {}, {.threads = 2, .shard = 4, .batch = 14}, 14);
    CHECK(plain == train_some(net.graph, {}, {.threads = 2, .shard = 4, .batch = 14, .poison = true}, 14));
  }
}

TEST_CASE("the shard size changes rounding only") {
  const Net net = engine::test::residual_net(16, false);
  const Outcome one = train_some(net.graph, {}, {.shard = 16, .batch = 16}, 16);
  for (const int shard : {1, 3, 8, 32}) {
    const Outcome other = train_some(net.graph, {}, {.shard = shard, .batch = 16}, 16);
    for (std::size_t s = 0; s < one.losses.size(); ++s)
      CHECK(other.losses[s] == doctest::Approx(one.losses[s]).epsilon(1e-4));
  }
}

TEST_CASE("a batch smaller than a shard, and one image") {
  const Net net = engine::test::residual_net(16, true);
  const Outcome few = train_some(net.graph, {}, {.shard = 8, .batch = 64}, 3);
  CHECK(few.logits.size() == 15);
  CHECK(std::isfinite(train_some(net.graph, {}, {.shard = 8, .batch = 64}, 1).losses[0]));
}

// 19 channels are no multiple of any vector; a padded one that got into a sum would show, as sign(0) = +1.
TEST_CASE("nothing but the 19 channels gets into the sums") {
  Net net({19, 6, 6}, 4);
  net.act();
  net.conv(19, 3, 1, 1);
  net.act();
  net.conv(4, 6, 1, 0);
  net.flatten();
  Quantization q = sign_everything(net.graph);
  Engine engine(net.graph, q, {}, {.shard = 2, .batch = 2});
  const Data data(net.graph, 2);
  engine.use_weights({});
  const std::vector<float> logits = engine.logits(data.images, 2);

  const auto value = [](float x) { return x < 0 ? -0.5f : 0.5f; };
  const auto convolve = [&](const std::vector<float>& x, std::span<const float> w, int outputs, int size,
                            int kernel, int padding) {
    const int out = size + 2 * padding - kernel + 1;
    std::vector<float> y(static_cast<std::size_t>(outputs * out * out), 0.0f);
    for (int o = 0; o < outputs; ++o)
      for (int r = 0; r < out * out; ++r)
        for (int c = 0; c < 19; ++c)
          for (int k = 0; k < kernel * kernel; ++k) {
            const int iy = r / out + k / kernel - padding, ix = r % out + k % kernel - padding;
            if (iy < 0 || ix < 0 || iy >= size || ix >= size) continue;
            y[static_cast<std::size_t>(o * out * out + r)] +=
                w[static_cast<std::size_t>((o * 19 + c) * kernel * kernel + k)] *
                value(x[static_cast<std::size_t>((c * size + iy) * size + ix)]);
          }
    return y;
  };
  for (std::size_t n = 0; n < 2; ++n) {
    const std::vector<float> x(data.images.begin() + static_cast<std::ptrdiff_t>(n * 19 * 36),
                               data.images.begin() + static_cast<std::ptrdiff_t>((n + 1) * 19 * 36));
    const auto hidden = convolve(x, engine.used(engine.slots()[0]), 19, 6, 3, 1);
    const auto expected = convolve(hidden, engine.used(engine.slots()[1]), 4, 6, 6, 0);
    for (std::size_t k = 0; k < 4; ++k) CHECK(logits[n * 4 + k] == expected[k]);
  }
}

// Codes are +-1 and stand for +-0.5: squares of the codes would be four times too large.
TEST_CASE("a response norm of quantized activations is that of the values, not of the codes") {
  Net net({19, 3, 3}, 171);
  net.act();
  net.response_norm({.radius = 4, .bias = 1, .alpha = 2});
  net.flatten();
  Engine engine(net.graph, sign_everything(net.graph), {}, {.shard = 2, .batch = 3, .poison = true});
  const Data data(net.graph, 3);
  engine.use_weights({});
  const std::vector<float> logits = engine.logits(data.images, 3);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const std::size_t channel = i % 171 / 9, first = channel < 4 ? 0 : channel - 4;
    const std::size_t count = std::min<std::size_t>(channel + 4, 18) - first + 1;
    const double value = data.images[i] < 0 ? -0.5 : 0.5;
    const double expected = value / std::pow(1 + 2 * 0.25 * static_cast<double>(count), 0.75);
    CHECK(logits[i] == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("response norm: no bit depends on threads, the arena, or codes convolved as integers") {
  for (const int width : {16, 19}) {
    Net net({3, 6, 6}, 4);
    net.conv(width, 3, 1, 1);
    net.norm(true);
    const int codes = net.act();
    const int product = net.conv(width, 3, 1, 1, false, {codes});
    net.sum(product, net.response_norm({.alpha = 0.3}, {codes}));
    net.act();
    net.pool(model::Op::max_pool, 3, 2, 0, 1);
    net.response_norm({.alpha = 0.3});
    net.flatten();
    net.linear(4);
    Quantization q = sign_everything(net.graph);
    q.weights.front() = nullptr;
    const Outcome one = train_some(net.graph, q, {.threads = 1, .shard = 4, .batch = 14}, 14);
    CHECK(one == train_some(net.graph, q, {.threads = 3, .shard = 4, .batch = 14, .poison = true}, 14));
    CHECK(one ==
          train_some(net.graph, q, {.threads = 2, .shard = 4, .batch = 14, .low_bit = LowBit::off}, 14));
  }
}

TEST_CASE("a max pool padded at the end sees the first pixels unpadded, the last ones alone") {
  Net net({1, 4, 4}, 4);
  net.pool(model::Op::max_pool, 3, 2, 0, 1);
  net.flatten();
  Engine engine(net.graph, {}, {}, {.shard = 1, .batch = 1});
  engine.use_weights({});
  const std::vector<float> image = {9, 1, 2,  3,  //
                                    1, 1, 1,  1,  //
                                    1, 5, -4, -3, 7, 1, -2, -1};
  CHECK(engine.logits(image, 1) == std::vector<float>{9, 3, 7, -1});
}

TEST_CASE("truncated normal: within two deviations, of the right spread; biases start where they should") {
  Net net = net_that_starts_by(model::Init::truncated_normal, 0.05);
  model::Layer& layer = net.graph.layers[1];
  layer.initial_bias = 0.1;
  Engine engine(net.graph, {}, {}, {});
  double squares = 0;
  for (const float w : engine.used(engine.slots()[0])) {
    REQUIRE(std::abs(w) < 0.1f);
    squares += static_cast<double>(w) * w;
  }
  // The deviation of a normal cut at two of its own is 0.8796; 4800 draws know it to 1 %.
  CHECK(std::sqrt(squares / 4800) == doctest::Approx(0.8796 * 0.05).epsilon(0.04));
  for (const float b : engine.used(engine.slots()[1])) CHECK(b == 0.1f);
  for (const float b : engine.used(engine.slots()[3])) CHECK(b == 0.0f);
}

TEST_CASE(
    "glorot uniform: up to its bound; biases of the deviation asked for, weights the same beside them") {
  Net net = net_that_starts_by(model::Init::glorot_uniform, 0.5);
  model::Layer& layer = net.graph.layers[1];
  const auto start_of = [&](std::size_t slot, std::uint64_t seed) {
    const Engine engine(net.graph, {}, {}, {.seed = seed});
    const std::span<const float> values = engine.used(engine.slots()[slot]);
    return std::vector<float>(values.begin(), values.end());
  };
  const std::vector<float> weights = start_of(0, 1);
  const float bound = 0.5f * std::sqrt(6.0f / (75 + 1600));
  const auto [low, high] = std::ranges::minmax(weights);
  CHECK((low >= -bound && low < -0.99f * bound));
  CHECK((high < bound && high > 0.99f * bound));
  layer.bias_deviation = 0.1;
  CHECK(start_of(0, 1) == weights);
  double squares = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const float b : start_of(1, seed)) squares += static_cast<double>(b) * b;
  CHECK(std::sqrt(squares / (20 * 64)) == doctest::Approx(0.1).epsilon(0.1));
  CHECK(start_of(3, 1) == std::vector<float>(4, 0.0f));
}

TEST_CASE("evaluation uses the running statistics") {
  Net net({3, 6, 6}, 4);
  net.conv(8, 3, 1, 1, true);
  net.norm(true);
  net.flatten();
  net.linear(4);
  Engine engine(net.graph, {}, {}, {.shard = 4, .batch = 16});
  const Data data(net.graph, 16);
  engine.use_weights({});
  // After many passes over one batch the running statistics are that batch's, up to the unbiased variance.
  double loss = 0;
  for (int k = 0; k < 200; ++k) loss = engine.train(data.images, data.labels).loss;
  CHECK(engine.evaluate(data.images, data.labels).loss == doctest::Approx(loss).epsilon(5e-3));
  CHECK(engine.statistics().size() == 2);
}

TEST_CASE("a non-finite number is located") {
  const Net net = one_block_net();
  Engine engine(net.graph, {}, {}, {.shard = 4, .batch = 8});
  Data data(net.graph, 8);
  engine.use_weights({});
  data.images[5] = std::numeric_limits<float>::infinity();
  CHECK(!std::isfinite(engine.train(data.images, data.labels).loss));
  CHECK(engine.locate_non_finite(data.images, data.labels).find("conv1") == 0);
  engine.latents()[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(engine.locate_non_finite(data.images, data.labels) == "conv1.weight: its values");
}

TEST_CASE("a non-finite number that a quantizer hides from the loss shows in the gradient") {
  const Net net = one_block_net();
  Quantization q;
  q.activations = [](const quant::ActivationTensor&) { return std::make_unique<SignActivation>(); };
  q.ste = [] { return std::make_unique<HardTanh>(); };
  Engine engine(net.graph, q, {}, {.shard = 4, .batch = 8});
  Data data(net.graph, 8);
  engine.use_weights({});
  CHECK(engine.train(data.images, data.labels).finite);
  data.images[5] = std::numeric_limits<float>::infinity();
  const BatchResult result = engine.train(data.images, data.labels);
  CHECK(std::isfinite(result.loss));
  CHECK_FALSE(result.finite);
  CHECK(engine.locate_non_finite(data.images, data.labels).find("conv1") == 0);
}

TEST_CASE("a batch that does not fit is refused") {
  const Net net = engine::test::residual_net(8, true);
  Engine engine(net.graph, {}, {}, {.shard = 4, .batch = 8});
  const Data data(net.graph, 9);
  CHECK_THROWS_AS(engine.train(data.images, data.labels), Error);
}

TEST_CASE("cross entropy of a large vocabulary is that of its equation, NaN where a logit is not finite") {
  constexpr int kClasses = 1500;
  for (const double smoothing : {0.0, 0.1}) {
    Net net({3, 2, 2}, kClasses);
    net.flatten();
    net.linear(kClasses);
    Engine engine(net.graph, {}, {LossKind::cross_entropy, smoothing},
                  {.threads = 1, .shard = 2, .batch = 3});
    Data data(net.graph, 3);
    for (float& x : data.images) x *= 20;
    engine.use_weights({});
    const std::vector<float> logits = engine.logits(data.images, 3);
    const auto bias_gradient = [&] {
      for (const ParameterSlot& slot : engine.slots())
        if (slot.kind == ParameterSlot::Kind::bias) return engine.used_gradient(slot);
      return std::span<float>();
    };
    const double loss = engine.train(data.images, data.labels).loss;
    double expected = 0;
    std::vector<double> gradient(kClasses);
    for (std::size_t n = 0; n < 3; ++n) {
      const std::span<const float> o = std::span(logits).subspan(n * kClasses, kClasses);
      double sum = 0;
      for (const float x : o) sum += std::exp(static_cast<double>(x));
      for (std::size_t k = 0; k < kClasses; ++k) {
        const double target =
            (k == static_cast<std::size_t>(data.labels[n]) ? 1 - smoothing : 0) + smoothing / kClasses;
        expected -= target * (static_cast<double>(o[k]) - std::log(sum));
        gradient[k] += (std::exp(static_cast<double>(o[k])) / sum - target) / 3;
      }
    }
    CHECK(loss == doctest::Approx(expected).epsilon(1e-6));
    CHECK(engine.evaluate(data.images, data.labels).loss == doctest::Approx(expected).epsilon(1e-6));
    engine.train(data.images, data.labels);
    for (std::size_t k = 0; k < kClasses; ++k)
      CHECK(std::abs(static_cast<double>(bias_gradient()[k]) - gradient[k]) < 1e-6);
    engine.latents()[0] = std::numeric_limits<float>::quiet_NaN();
    engine.use_weights({});
    CHECK_FALSE(engine.evaluate(data.images, data.labels).finite);
  }
}
