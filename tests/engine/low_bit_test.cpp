#include <doctest/doctest.h>

#include <map>

#include "engine/quantizers.hpp"

// Codes are multiplied as floats, bytes or bit planes: the same bits, whatever the path.
namespace qtrain::engine {
namespace {

using namespace engine::test;

/// Codes 0 to 2^bits - 1, or, in two's complement, -2^(bits-1) to 2^(bits-1) - 1.
class BitActivation final : public quant::ActivationQuantizer {
 public:
  BitActivation(int bits, bool is_signed)
      : lowest_(is_signed ? -(1 << (bits - 1)) : 0), highest_(lowest_ + (1 << bits) - 1) {}
  void forward(std::span<const float> x, std::span<float> codes) const override {
    for (std::size_t k = 0; k < x.size(); ++k)
      codes[k] =
          std::clamp(std::nearbyint(3 * x[k]), static_cast<float>(lowest_), static_cast<float>(highest_));
  }
  float scale() const override { return 1.0f / 3; }
  quant::ActivationRange range() const override {
    return {scale() * static_cast<float>(lowest_), scale() * static_cast<float>(highest_)};
  }
  int lowest_code() const override { return lowest_; }
  int highest_code() const override { return highest_; }

 private:
  int lowest_, highest_;
};

/// w = code / 2^bits: odd codes, -(2^bits - 1) to 2^bits - 1, or all that are below 2^(bits-1) in magnitude.
class BitWeight final : public quant::WeightMethod {
 public:
  BitWeight(int bits, bool odd)
      : odd_(odd), top_(odd ? (1 << bits) - 1 : std::max(1, (1 << (bits - 1)) - 1)) {}
  void used(std::span<const float> u, const quant::WeightContext&, std::span<float> w) override {
    for (std::size_t k = 0; k < u.size(); ++k) {
      const float x = 4 * u[k] * static_cast<float>(top_);
      const float code = odd_ ? 2 * std::floor(x / 2) + 1 : std::nearbyint(x);
      w[k] = std::clamp(code, static_cast<float>(-top_), static_cast<float>(top_)) / 32;
    }
  }
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    scales[0] = 1.0f / 32;
    for (std::size_t k = 0; k < w.size(); ++k) codes[k] = 32 * w[k];
    return true;
  }
  std::optional<quant::CodeRange> code_range() const override {
    return quant::CodeRange{-top_, top_, odd_ ? 2 : 1};
  }
  int bits() const override { return 8; }

 private:
  bool odd_;
  int top_;
};

struct Kind {
  int bits;
  bool flag;
};

Quantization quantization(const model::Graph& graph, Kind weights, Kind activations) {
  Quantization q = sign_everything(graph);
  for (auto& make : q.weights)
    if (make)
      make = [weights](const quant::WeightTensor&) {
        return std::make_unique<BitWeight>(weights.bits, weights.flag);
      };
  q.activations = [activations](const quant::ActivationTensor&) {
    return std::make_unique<BitActivation>(activations.bits, activations.flag);
  };
  return q;
}

/// Convolutions of odd sizes with and without stride and padding, one behind a max pool, and linear layers.
Net every_product(int width) {
  Net net({3, 11, 11}, 5);
  net.conv(width, 3, 1, 1);
  net.norm(true);
  const int first = net.act();
  net.conv(width, 3, 1, 1);
  net.sum(net.norm(true), first);
  net.act();
  net.conv(width + 3, 5, 2, 1);
  net.norm(true);
  net.act();
  net.pool(model::Op::max_pool, 2, 1);
  net.conv(8, 1, 1, 0);
  net.norm(true);
  net.act();
  net.flatten();
  net.linear(21);
  net.norm(true);
  net.act();
  net.linear(5);
  return net;
}

std::map<std::string, int> paths(const Net& net, const Quantization& q, const Options& options) {
  std::map<std::string, int> count;
  for (const LayerInfo& row : Engine(net.graph, q, {}, options).layers())
    if (!row.path.empty()) ++count[row.path];
  return count;
}

constexpr LowBit kAll[] = {LowBit::automatic, LowBit::off, LowBit::int8, LowBit::bitwise};

}  // namespace

TEST_CASE("bits 1 to 4 on either side, signed or not: every path trains and evaluates to the same bits") {
  const Net net = every_product(19);
  for (int w = 1; w <= 4; ++w)
    for (int x = 1; x <= 4; ++x)
      for (const bool odd : {true, false})
        for (const bool is_signed : {true, false}) {
          const Quantization q = quantization(net.graph, {w, odd}, {x, is_signed});
          Options options{.threads = 2, .shard = 4, .batch = 7, .low_bit = LowBit::off, .poison = true};
          const Outcome expected = train_some(net.graph, q, options, 7, 1);
          for (const LowBit low_bit : kAll) {
            options.low_bit = low_bit;
            CHECK_MESSAGE(train_some(net.graph, q, options, 7, 1) == expected,
                          w << " x " << x << " bits, path " << static_cast<int>(low_bit));
          }
        }
}

TEST_CASE("residual nets of signs and of bytes: every path, any number of threads, the same bits") {
  for (const bool option_a : {true, false})
    for (const bool is_signed : {true, false})
      for (const int width : {16, 19}) {
        const Net net = residual_net(width, option_a);
        Quantization q = sign_everything(net.graph);
        q.weights.front() = nullptr;
        if (!is_signed)
          q.activations = [](const quant::ActivationTensor&) { return std::make_unique<Steps>(); };
        const Options options{.threads = 1, .shard = 4, .batch = 14, .low_bit = LowBit::off};
        const Outcome expected = train_some(net.graph, q, options, 14);
        for (const LowBit low_bit : kAll)
          for (const int threads : {2, 3})
            CHECK(
                train_some(net.graph, q,
                           {.threads = threads, .shard = 4, .batch = 14, .low_bit = low_bit, .poison = true},
                           14) == expected);
      }
}

TEST_CASE("evaluation follows every change: of weights, of running statistics, of batch norm") {
  const Net net = residual_net(16, true);
  Quantization q = quantization(net.graph, {1, true}, {1, false});
  q.weights.front() = nullptr;
  const Data data(net.graph, 6);
  const auto evaluations = [&](LowBit low_bit) {
    Engine engine(net.graph, q, {}, {.shard = 4, .batch = 6, .low_bit = low_bit});
    std::vector<std::vector<float>> all;
    const auto evaluate = [&] { all.push_back(engine.logits(data.images, 6)); };
    engine.use_weights({});
    evaluate();
    for (int step = 0; step < 3; ++step) {
      engine.train(data.images, data.labels);
      evaluate();  // the running statistics have moved
      engine.pull_gradients();
      for (std::size_t k = 0; k < engine.latents().size(); ++k)
        engine.latents()[k] -= 0.5F * engine.gradients()[k];
      engine.use_weights({});
      evaluate();
    }
    for (float& mean : engine.statistics()[1].values) mean += 1;
    evaluate();
    return all;
  };
  const auto expected = evaluations(LowBit::off);
  CHECK(evaluations(LowBit::bitwise) == expected);
  for (std::size_t k = 1; k < expected.size(); ++k) CHECK(expected[k] != expected[k - 1]);
}

TEST_CASE("the path asked for is taken by all layers with codes on both sides, and by no other") {
  const Net net = residual_net(16, false);
  Quantization q = sign_everything(net.graph);
  q.weights.front() = nullptr;
  using Count = std::map<std::string, int>;
  // Behind the pool the codes are averages: the linear layer computes in floats.
  CHECK(paths(net, q, {.low_bit = LowBit::off}) == Count{{"float32", 5}});
  CHECK(paths(net, q, {.low_bit = LowBit::bitwise}) == Count{{"float32", 2}, {"bitwise", 3}});
  if (__builtin_cpu_supports("avx512vnni"))
    CHECK(paths(net, q, {.low_bit = LowBit::int8}) == Count{{"float32", 2}, {"int8", 3}});
  for (const LayerInfo& row : Engine(net.graph, q, {}, {}).layers()) {
    if (row.measured.empty()) continue;
    double best = row.measured.front().second, own = 0;
    for (const auto& [path, seconds] : row.measured) {
      best = std::min(best, seconds);
      if (path == row.path) own = seconds;
    }
    CHECK(own == best);
  }
}

TEST_CASE("sums that floats cannot hold stay in floats") {
  // 4096 products of up to 255 x 127 exceed 2^24.
  Net net({1, 4, 4}, 3);
  net.conv(256, 1, 1, 0);
  net.norm(true);
  net.act();
  net.conv(3, 4, 1, 0);
  net.flatten();
  net.linear(3);
  const Quantization q = quantization(net.graph, {7, true}, {8, false});
  for (const LowBit low_bit : kAll) CHECK(paths(net, q, {.low_bit = low_bit}).at("float32") >= 2);
  for (const LayerInfo& row : Engine(net.graph, q, {}, {.low_bit = LowBit::bitwise}).layers())
    if (row.name == "conv4") CHECK(row.path == "float32");
}

}  // namespace qtrain::engine
