#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/finite_differences.hpp"
#include "engine/net.hpp"

using namespace qtrain;
using namespace qtrain::engine;
using engine::test::check_finite_differences;
using engine::test::Net;
using model::Op;

namespace {

constexpr int kTokens = 11;
constexpr int kSteps = 6;

struct Sizes {
  int embedding = 0, hidden = 5, layers = 1;
  double dropout = 0;
};

/// As model/lstm.cpp builds it.
Net language_model(const Sizes& s, int steps = kSteps) {
  Net net({steps}, kTokens);
  net.graph.targets = steps;
  const auto uniform = [&](model::Layer layer) {
    layer.init = model::Init::uniform;
    layer.deviation = 0.5;
    return net.add(std::move(layer));
  };
  const auto drop = [&] {
    if (s.dropout > 0) net.add({.name = "drop", .op = Op::dropout, .inputs = {}, .rate = s.dropout});
  };
  if (s.embedding > 0) {
    uniform({.name = "embedding", .op = Op::embedding, .inputs = {}, .channels = s.embedding});
    drop();
  }
  for (int layer = 0; layer < s.layers; ++layer) {
    const bool tokens = net.last() == 0;
    uniform({.name = "gates",
             .op = tokens ? Op::embedding : Op::convolution,
             .inputs = {},
             .channels = 4 * s.hidden});
    uniform({.name = "lstm",
             .op = Op::lstm,
             .inputs = {},
             .channels = s.hidden,
             .bias = true,
             .initial_bias = 1});
    drop();
  }
  uniform({.name = "decoder", .op = Op::convolution, .inputs = {}, .channels = kTokens, .bias = true});
  return net;
}

/// `lanes` texts of `length` tokens each, and what a batch of their steps [from, from + steps) is.
struct Texts {
  int lanes, length;
  std::vector<int> tokens;
  Texts(int of_lanes, int of_length) : lanes(of_lanes), length(of_length) {
    RandomStream random(5, Purpose::test);
    for (int i = 0; i < lanes * (length + 1); ++i) tokens.push_back(static_cast<int>(random.below(kTokens)));
  }
  int at(int lane, int step) const { return tokens[static_cast<std::size_t>(lane * (length + 1) + step)]; }
  std::vector<float> images(int from, int steps, int first = 0, int count = 0) const {
    std::vector<float> result;
    for (int lane = first; lane < (count > 0 ? first + count : lanes); ++lane)
      for (int t = from; t < from + steps; ++t) result.push_back(static_cast<float>(at(lane, t)));
    return result;
  }
  std::vector<std::int32_t> labels(int from, int steps, int first = 0, int count = 0) const {
    std::vector<std::int32_t> result;
    for (int lane = first; lane < (count > 0 ? first + count : lanes); ++lane)
      for (int t = from; t < from + steps; ++t) result.push_back(at(lane, t + 1));
    return result;
  }
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Parameters of an engine by the start of their names, as doubles.
struct Values {
  std::vector<std::vector<double>> all;
  explicit Values(Engine& engine) {
    for (const ParameterSlot& slot : engine.slots()) {
      const auto u = engine.latents().subspan(slot.offset, slot.size);
      all.emplace_back(u.begin(), u.end());
    }
  }
};

/// Logits of one text by the equations, in double: parameters W [tokens][4H], U [4H][H], b, D [tokens][H],
/// b_D.
std::vector<double> reference_logits(const Values& values, const std::vector<int>& text, int hidden) {
  const auto& [w, u, b, d, bd] =
      std::tie(values.all[0], values.all[1], values.all[2], values.all[3], values.all[4]);
  const auto size = static_cast<std::size_t>(hidden);
  std::vector<double> h(size), c(size), logits;
  for (const int token : text) {
    std::vector<double> z(4 * size);
    for (std::size_t k = 0; k < 4 * size; ++k) {
      z[k] = w[static_cast<std::size_t>(token) * 4 * size + k] + b[k];
      for (std::size_t j = 0; j < size; ++j) z[k] += u[k * size + j] * h[j];
    }
    for (std::size_t j = 0; j < size; ++j) {
      c[j] = sigmoid(z[size + j]) * c[j] + sigmoid(z[j]) * std::tanh(z[2 * size + j]);
      h[j] = sigmoid(z[3 * size + j]) * std::tanh(c[j]);
    }
    for (std::size_t k = 0; k < kTokens; ++k) {
      logits.push_back(bd[k]);
      for (std::size_t j = 0; j < size; ++j) logits.back() += d[k * size + j] * h[j];
    }
  }
  return logits;
}

}  // namespace

TEST_CASE("an LSTM is its equations, forget gates start at their bias") {
  for (const int hidden : {1, 5, 16, 19}) {
    CAPTURE(hidden);
    const Net net = language_model({.hidden = hidden});
    Engine engine(net.graph, {}, {}, {.threads = 2, .shard = 2, .batch = 5, .seed = 3, .poison = true});
    const Texts texts(5, kSteps);
    const Values values(engine);
    for (std::size_t k = 0; k < values.all[2].size(); ++k)
      CHECK(values.all[2][k] == (k / static_cast<std::size_t>(hidden) == 1 ? 1 : 0));
    engine.start_sequences(5);
    engine.use_weights({});
    const std::vector<float> logits = engine.logits(texts.images(0, kSteps), 5);
    REQUIRE(logits.size() == 5 * kSteps * kTokens);
    for (int lane = 0; lane < 5; ++lane) {
      std::vector<int> text;
      for (int t = 0; t < kSteps; ++t) text.push_back(texts.at(lane, t));
      const std::vector<double> expected = reference_logits(values, text, hidden);
      for (std::size_t k = 0; k < expected.size(); ++k)
        CHECK(logits[static_cast<std::size_t>(lane) * expected.size() + k] ==
              doctest::Approx(expected[k]).epsilon(1e-5).scale(1));
    }
  }
}

TEST_CASE("finite differences: embeddings, LSTMs, decoder, dropout") {
  for (const Sizes& sizes : {Sizes{}, Sizes{.embedding = 7}, Sizes{.embedding = 3, .hidden = 17, .layers = 2},
                             Sizes{.embedding = 16, .hidden = 8, .layers = 2, .dropout = 0.4}}) {
    CAPTURE(sizes.layers);
    CAPTURE(sizes.hidden);
    const Net net = language_model(sizes);
    Engine engine(net.graph, {}, {}, {.threads = 2, .shard = 2, .batch = 5, .seed = 3, .poison = true});
    const Texts texts(5, 2 * kSteps);
    const auto now = [&] {  // from a state that is not zero, which has no gradient
      engine.start_sequences(5);
      engine.use_weights({});
      for (const CarriedSlot& slot : engine.carried())
        for (std::size_t k = 0; k < slot.values.size(); ++k)
          slot.values[k] = 0.1f * static_cast<float>(k % 7) - 0.3f;
      const double sum = engine.train(texts.images(kSteps, kSteps), texts.labels(kSteps, kSteps)).loss;
      engine.pull_gradients();
      return sum / (5 * kSteps);
    };
    check_finite_differences(engine, now, {.step = 1e-2, .absolute = 1e-4, .relative = 0.005});
  }
}

TEST_CASE("a text in pieces gives the logits of the whole, until sequences begin anew") {
  const Net pieces = language_model({.embedding = 6, .layers = 2}),
            whole = language_model({.embedding = 6, .layers = 2}, 2 * kSteps);
  const Options options{.threads = 2, .shard = 2, .batch = 3, .seed = 4};
  Engine by_pieces(pieces.graph, {}, {}, options), at_once(whole.graph, {}, {}, options);
  const Texts texts(3, 2 * kSteps);
  for (Engine* engine : {&by_pieces, &at_once}) {
    engine->start_sequences(3);
    engine->use_weights({});
  }
  const std::vector<float> all = at_once.logits(texts.images(0, 2 * kSteps), 3);
  const auto agree = [&](const std::vector<float>& part, int from) {
    bool equal = true;
    for (int lane = 0; lane < 3; ++lane)
      for (int k = 0; k < kSteps * kTokens; ++k)
        equal = equal &&
                std::abs(part[static_cast<std::size_t>(lane * kSteps * kTokens + k)] -
                         all[static_cast<std::size_t>((lane * 2 * kSteps + from) * kTokens + k)]) < 1e-6f;
    return equal;
  };
  CHECK(agree(by_pieces.logits(texts.images(0, kSteps), 3), 0));
  CHECK(agree(by_pieces.logits(texts.images(kSteps, kSteps), 3), kSteps));
  CHECK_FALSE(agree(by_pieces.logits(texts.images(0, kSteps), 3), 0));
  by_pieces.start_sequences(3);
  CHECK(agree(by_pieces.logits(texts.images(0, kSteps), 3), 0));
}

TEST_CASE("language models: any number of threads and lanes in parts give the same bits") {
  const Net net = language_model({.embedding = 9, .hidden = 13, .layers = 2, .dropout = 0.3});
  const Texts texts(6, 2 * kSteps);
  const auto run = [&](int threads, bool in_parts) {
    Engine engine(net.graph, {}, {}, {.threads = threads, .shard = 2, .batch = 6, .seed = 3});
    engine.start_sequences(6);
    std::vector<float> results;
    for (const int from : {0, kSteps}) {
      engine.use_weights({});
      for (const int first : in_parts ? std::vector<int>{2, 0, 4} : std::vector<int>{0}) {
        const int count = in_parts ? 2 : 6;
        engine.train(texts.images(from, kSteps, first, count), texts.labels(from, kSteps, first, count),
                     first);
        if (!in_parts) results.insert(results.end(), engine.gradients().begin(), engine.gradients().end());
      }
    }
    for (const CarriedSlot& slot : engine.carried())
      results.insert(results.end(), slot.values.begin(), slot.values.end());
    return results;
  };
  const std::vector<float> one = run(1, false);
  CHECK(one == run(2, false));
  CHECK(one == run(3, false));
  const std::vector<float> parts = run(2, true);  // the states alone
  CHECK(std::ranges::equal(parts, std::span(one).last(parts.size())));
}

TEST_CASE("dropout keeps the mean, differs from step to step and rests in evaluation") {
  const Net dropping = language_model({.embedding = 40, .hidden = 8, .dropout = 0.5});
  const Net plain = language_model({.embedding = 40, .hidden = 8});
  Engine with(dropping.graph, {}, {}, {.threads = 1, .shard = 2, .batch = 4, .seed = 6});
  Engine without(plain.graph, {}, {}, {.threads = 1, .shard = 2, .batch = 4, .seed = 6});
  REQUIRE(with.latents().size() == without.latents().size());
  std::ranges::copy(without.latents(), with.latents().begin());
  const Texts texts(4, kSteps);
  const auto images = texts.images(0, kSteps);
  const auto labels = texts.labels(0, kSteps);
  const auto loss = [&](Engine& engine, std::int64_t step, bool training) {
    quant::WeightContext context;
    context.step = step;
    engine.use_weights(context);
    engine.start_sequences(4);
    return (training ? engine.train(images, labels) : engine.evaluate(images, labels)).loss;
  };
  CHECK(loss(with, 0, false) == loss(without, 0, false));
  CHECK(loss(with, 0, true) == loss(with, 0, true));
  CHECK(loss(with, 0, true) != loss(with, 1, true));
  CHECK(loss(with, 0, true) != loss(without, 0, true));
  // The gradient of the decoder's bias does not pass dropout; that of the embedding is 0 where it dropped.
  loss(with, 0, true);
  const auto row = with.used_gradient(with.slots().front());
  const auto zeros = std::ranges::count(row, 0.0f);
  CHECK(zeros > 0);
}
