// engine.precision bfloat16. An operand x becomes x (1 + d), |d| <= u = 2^-8: bfloat16 has eight significant
// bits.
#include <doctest/doctest.h>

#include <cmath>

#include "base/error.hpp"
#include "engine/onednn.hpp"
#include "engine/quantizers.hpp"

using namespace qtrain;
using namespace qtrain::engine;
using engine::test::Data;
using engine::test::Net;
using engine::test::Outcome;
using engine::test::sign_everything;
using engine::test::Steps;
using engine::test::train_some;

namespace {

constexpr double kUnit = 0x1p-8;

/// Numbers in double, and for each how far off the engine's may be.
struct Bounded {
  std::size_t rows, columns;
  std::vector<double> value, error;
  Bounded(std::size_t r, std::size_t c) : rows(r), columns(c), value(r * c), error(r * c) {}
  Bounded(std::size_t r, std::size_t c, std::span<const float> exact) : Bounded(r, c) {
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<double>(exact[i]);
  }
  Bounded transposed() const {
    Bounded t(columns, rows);
    for (std::size_t i = 0; i < value.size(); ++i) {
      t.value[i % columns * rows + i / columns] = value[i];
      t.error[i % columns * rows + i / columns] = error[i];
    }
    return t;
  }
};

/// x y^T from operands that may be off and are then rounded to `unit`; the sum itself is of floats.
Bounded product(const Bounded& x, const Bounded& y, double unit) {
  REQUIRE(x.columns == y.columns);
  Bounded z(x.rows, y.rows);
  const double sum_unit = static_cast<double>(x.columns + 1) * 0x1p-24;
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t j = 0; j < y.rows; ++j)
      for (std::size_t k = 0; k < x.columns; ++k) {
        const double a = x.value[i * x.columns + k], b = y.value[j * y.columns + k];
        const auto off = [unit](double v, double e) { return e + unit * (std::abs(v) + e); };
        const double ea = off(a, x.error[i * x.columns + k]), eb = off(b, y.error[j * y.columns + k]);
        z.value[i * z.columns + j] += a * b;
        z.error[i * z.columns + j] += std::abs(a) * eb + ea * std::abs(b) + ea * eb +
                                      sum_unit * (std::abs(a) + ea) * (std::abs(b) + eb);
      }
  return z;
}

double norm_of_difference(std::span<const float> x, std::span<const float> y) {
  double squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    squares += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
  return std::sqrt(squares);
}

double norm(std::span<const float> x) { return norm_of_difference(x, std::vector<float>(x.size(), 0.0f)); }

/// The gradients of one batch, and of the loss.
struct Trained {
  std::vector<float> gradients, logits;
  std::vector<ParameterSlot> slots;
  Trained(const Net& net, const Loss& loss, const Data& data, Precision precision) {
    const int count = static_cast<int>(data.labels.size());
    Engine engine(net.graph, {}, loss,
                  {.threads = 2, .shard = 4, .batch = count, .precision = precision, .poison = true});
    engine.use_weights({});
    logits = engine.logits(data.images, count);
    engine.train(data.images, data.labels);
    engine.pull_gradients();
    gradients.assign(engine.gradients().begin(), engine.gradients().end());
    slots = engine.slots();
  }
  std::span<const float> of(const ParameterSlot& slot) const {
    return std::span(gradients).subspan(slot.offset, slot.size);
  }
};

/// This machine's oneDNN may have no bfloat16; then an engine is refused.
bool supported() {
  if (onednn::has_bfloat16()) return true;
  const Net net = engine::test::residual_net(8, true);
  CHECK_THROWS_WITH_AS(Engine(net.graph, {}, {}, {.precision = Precision::bfloat16}),
                       doctest::Contains("engine.precision"), Error);
  return false;
}

}  // namespace

// Two linear layers and 1/2 |y - t|^2 / n: every step of the chain is a product, whose error is bounded.
TEST_CASE("bfloat16: gradients of a linear net lie within the bound of their operands' rounding") {
  if (!supported()) return;
  constexpr std::size_t kImages = 10, kInputs = 45, kHidden = 19, kOutputs = 4;
  Net net({5, 3, 3}, kOutputs);
  net.flatten();
  net.linear(kHidden, false);
  net.linear(kOutputs, false);
  const Data data(net.graph, kImages);
  Engine engine(net.graph, {}, {}, {});
  const Bounded w1(kHidden, kInputs, engine.used(engine.slots()[0]));
  const Bounded w2(kOutputs, kHidden, engine.used(engine.slots()[1]));
  const Bounded x(kImages, kInputs, data.images);
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const bool rounds = precision == Precision::bfloat16;
    const double unit = rounds ? kUnit : 0x1p-22;  // floats: the loss and its mean round a few times
    const Bounded hidden = product(x, w1, unit), y = product(hidden, w2, unit);
    Bounded g = y;
    for (std::size_t n = 0; n < kImages; ++n)
      g.value[n * kOutputs + static_cast<std::size_t>(data.labels[n])] -= 1;
    for (std::size_t i = 0; i < g.value.size(); ++i) {
      g.error[i] = (g.error[i] + 0x1p-22 * (std::abs(y.value[i]) + 1)) / kImages;
      g.value[i] /= kImages;
    }
    const Bounded g_hidden = product(g, w2.transposed(), unit);
    const Bounded dw1 = product(g_hidden.transposed(), x.transposed(), unit);
    const Bounded dw2 = product(g.transposed(), hidden.transposed(), unit);
    const Trained trained(net, {LossKind::squared_error, 0}, data, precision);
    const auto check = [&](const Bounded& expected, std::span<const float> seen) {
      REQUIRE(expected.value.size() == seen.size());
      double largest = 0;  // share of the bound
      for (std::size_t i = 0; i < seen.size(); ++i) {
        const double off = std::abs(static_cast<double>(seen[i]) - expected.value[i]);
        REQUIRE(off <= expected.error[i]);
        largest = std::max(largest, off / expected.error[i]);
      }
      if (rounds) CHECK(largest > 0.01);  // else nothing was rounded
    };
    check(y, trained.logits);
    check(dw1, trained.of(trained.slots[0]));
    check(dw2, trained.of(trained.slots[1]));
  }
}

namespace {

Net chain(int channels) {
  Net net({3, 9, 9}, 4);
  net.conv(channels, 3, 2, 1, true);
  net.norm(true);
  net.conv(channels, 3, 1, 1);
  net.pool(model::Op::average_pool, 2, 1);
  net.conv(7, 1, 1, 0, true);
  net.norm(true);
  net.flatten();
  net.linear(4);
  return net;
}

/// Values read three times, a shortcut without weights, a response norm: gradients that are added and moved.
Net branches(int channels) {
  Net net({3, 8, 8}, 4);
  const int x = net.conv(channels, 3, 1, 1, true);
  const int y = net.conv(channels, 1, 1, 0, true, {x});
  const int z = net.norm(true, {net.conv(channels, 3, 1, 1, false, {x})});
  const int s = net.sum(net.sum(y, z), x);
  const int around = net.shortcut(s, 2 * channels, 2);
  net.sum(net.norm(true, {net.conv(2 * channels, 3, 2, 1, false, {s})}), around);
  net.response_norm({.alpha = 0.3});
  net.flatten();
  net.linear(4);
  return net;
}

}  // namespace

// A layer rounds its input and its weights on the way there, its weights and up to three gradients (after and
// before its batch norm, and of its input) on the way back: in the norm 6 u of relative error where nothing
// cancels. Roundings are of either sign, so most of them do.
TEST_CASE("bfloat16: gradients of convolutions are float32's within 6 u a layer") {
  if (!supported()) return;
  for (const int channels : {5, 16, 19, 32})
    for (const Net& net : {chain(channels), branches(channels)}) {
      CAPTURE(channels);
      const Data data(net.graph, 11);
      const Trained floats(net, {}, data, Precision::float32), halves(net, {}, data, Precision::bfloat16);
      const auto is_weight = [](const ParameterSlot& slot) {
        return slot.kind == ParameterSlot::Kind::weight;
      };
      const auto layers = static_cast<double>(std::ranges::count_if(floats.slots, is_weight));
      for (const ParameterSlot& slot : floats.slots) {
        const double off = norm_of_difference(halves.of(slot), floats.of(slot));
        INFO(slot.name, ": ", off, " of ", norm(floats.of(slot)));
        if (norm(floats.of(slot)) < 1e-6) continue;  // a bias before batch norm
        CHECK(off <= 6 * kUnit * layers * norm(floats.of(slot)));
        if (is_weight(slot)) CHECK(off > 0);
      }
    }
}

TEST_CASE("bfloat16: layers of codes alone have float32's logits, whichever path they take") {
  if (!supported()) return;
  for (const bool is_signed : {true, false}) {
    Net net({19, 6, 6}, 4);
    net.act();
    net.conv(19, 3, 1, 1);
    net.norm(true);
    net.act();
    net.conv(19, 3, 2, 1);
    net.norm(true);
    net.act();
    net.flatten();
    net.linear(4);
    Quantization q = sign_everything(net.graph);
    if (!is_signed) q.activations = [](const quant::ActivationTensor&) { return std::make_unique<Steps>(); };
    const Data data(net.graph, 6);
    const auto logits = [&](Precision precision, LowBit low_bit) {
      Engine engine(net.graph, q, {},
                    {.shard = 4, .batch = 8, .low_bit = low_bit, .precision = precision, .poison = true});
      engine.use_weights({});
      return engine.logits(data.images, 6);
    };
    const std::vector<float> expected = logits(Precision::float32, LowBit::off);
    for (const LowBit low_bit : {LowBit::automatic, LowBit::off, LowBit::int8, LowBit::bitwise}) {
      CHECK(logits(Precision::bfloat16, low_bit) == expected);
      CHECK(logits(Precision::float32, low_bit) == expected);
    }
  }
}

TEST_CASE("bfloat16: convolving codes as integers changes no bit of training") {
  if (!supported()) return;
  for (const bool option_a : {true, false}) {
    const Net net = engine::test::residual_net(19, option_a);
    Quantization q = sign_everything(net.graph);
    q.weights.front() = nullptr;
    q.activations = [](const quant::ActivationTensor&) { return std::make_unique<Steps>(); };
    const Options options{.threads = 2, .shard = 4, .batch = 14, .precision = Precision::bfloat16};
    const Outcome expected = train_some(net.graph, q, options, 14);
    for (const LowBit low_bit : {LowBit::off, LowBit::int8, LowBit::bitwise}) {
      Options other = options;
      other.low_bit = low_bit;
      CHECK(train_some(net.graph, q, other, 14) == expected);
    }
  }
}

namespace {

/// Keeps the sign and the mean magnitude of an image's gradient.
class SignGradient final : public quant::PropagatedQuantizer {
 public:
  void quantize(std::span<float> diff, RandomStream&) const override {
    double sum = 0;
    for (const float g : diff) sum += std::abs(static_cast<double>(g));
    const auto mean = static_cast<float>(sum / static_cast<double>(diff.size()));
    for (float& g : diff) g = g < 0 ? -mean : mean;
  }
};

}  // namespace

TEST_CASE("bfloat16: no bit depends on threads or on what dead memory holds") {
  if (!supported()) return;
  for (const bool option_a : {true, false}) {
    const Net net = engine::test::residual_net(16, option_a);
    Quantization q = sign_everything(net.graph);
    q.weights.front() = nullptr;
    Quantization propagated = q;
    propagated.propagated = [] { return std::make_unique<SignGradient>(); };
    for (const Quantization& quantization : {Quantization(), q, propagated}) {
      for (const int count : {32, 27}) {
        Options options{.threads = 1, .shard = 4, .batch = 32, .precision = Precision::bfloat16};
        const Outcome one = train_some(net.graph, quantization, options, count);
        options.poison = true;
        for (const int threads : {1, 2, 5}) {
          options.threads = threads;
          CHECK(one == train_some(net.graph, quantization, options, count));
        }
      }
    }
  }
}

TEST_CASE("bfloat16: the loss falls as in float32") {
  if (!supported()) return;
  const Net net = engine::test::residual_net(16, true);
  Quantization q = sign_everything(net.graph);
  q.weights.front() = nullptr;
  for (const Quantization& quantization : {Quantization(), q}) {
    const auto losses = [&](Precision precision) {
      const Options options{.threads = 2, .shard = 8, .batch = 32, .precision = precision};
      return train_some(net.graph, quantization, options, 32, 150).losses;
    };
    const std::vector<double> floats = losses(Precision::float32), halves = losses(Precision::bfloat16);
    MESSAGE("loss ", floats.front(), " to ", floats.back(), " in float32, to ", halves.back(),
            " in bfloat16");
    CHECK(halves != floats);
    CHECK(halves.back() < 0.5 * halves.front());
    CHECK(std::abs(halves.back() - floats.back()) < 0.1 * (floats.front() - floats.back()));
  }
}

TEST_CASE("bfloat16: the path of each layer says so, but where codes are convolved") {
  if (!supported()) return;
  const Net net = engine::test::residual_net(16, false);
  Quantization q = sign_everything(net.graph);
  q.weights.front() = nullptr;
  std::vector<std::string> paths;
  const Options options{.low_bit = LowBit::bitwise, .precision = Precision::bfloat16};
  for (const LayerInfo& row : Engine(net.graph, q, {}, options).layers())
    if (!row.path.empty()) paths.push_back(row.path);
  CHECK(paths == std::vector<std::string>{"bfloat16", "bitwise", "bitwise", "bitwise", "bfloat16"});
}
