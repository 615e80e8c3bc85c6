#include "train/updater.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "quant/activation.hpp"

namespace qtrain::train {
namespace {

using Kind = engine::ParameterSlot::Kind;

/// A small net with a learned quantizer, and an optimizer.
struct Net {
  explicit Net(const std::vector<std::string>& keys, const Choice& frozen = {}) {
    std::vector<std::string> words = {"model.name=mlp",
                                      "model.widths=[8]",
                                      "activations.quantizer=quantized_relu",
                                      "activations.alpha=learned",
                                      "activations.alpha_rate=0.5",
                                      "o.name=sgd",
                                      "o.learning_rate=0.25"};
    words.insert(words.end(), keys.begin(), keys.end());
    spec::Document document = spec::Document::parse("{}", "test", words);
    graph = model.read(document.root().group("model", ""), {1, 4, 4}, 3);
    activations.read(document.root().group("activations", ""));
    optimizer.read(document.root().group("o", ""));
    document.diagnostics().throw_if_any();
    engine::Quantization quantization;
    quantization.activations = activations.make;
    quantization.ste = activations.make_ste;
    engine = std::make_unique<engine::Engine>(
        graph, quantization, engine::Loss{},
        engine::Options{.threads = 1, .shard = 4, .batch = 4, .seed = 1, .frozen = frozen});
  }
  model::ModelSpec model;
  model::Graph graph;
  quant::ActivationSpec activations;
  optim::OptimizerSpec optimizer;
  std::unique_ptr<engine::Engine> engine;
};

TEST_CASE(
    "one SGD step: decay on weights, biases and batch norm, not on learned values, whose gradient is "
    "clamped") {
  Net net({"o.weight_decay=0.5"});
  engine::Engine& engine = *net.engine;
  const optim::OptimizerSpec& optimizer = net.optimizer;
  Updater updater(engine, optimizer);

  std::ranges::fill(engine.latents(), 1.0f);
  std::ranges::fill(engine.gradients(), 8.0f);
  updater.step(0.25, 0);
  bool learned = false;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    // 1 - 0.25 (8 + 0.5); learned: limit 1 / 0.5 = 2, rate 0.25 * 0.5, so 1 - 0.125 * 2
    const float expected = slot.kind == Kind::learned ? 0.75f : -1.125f;
    learned = learned || slot.kind == Kind::learned;
    for (const float u : engine.latents().subspan(slot.offset, slot.size))
      CHECK_MESSAGE(u == expected, slot.name);
  }
  CHECK(learned);

  std::ranges::fill(engine.latents(), 1.0f);
  std::ranges::fill(engine.gradients(), 8.0f);
  const Choice first = [](const auto& slot) { return slot.name == "fc1.weight"; };
  Updater first_only(engine, optimizer, first);
  first_only.step(0.25, 0);
  for (const engine::ParameterSlot& slot : engine.slots()) {
    const bool decays = slot.name == "fc1.weight";
    CHECK_MESSAGE(weight_decay(slot, optimizer, first) == (decays ? 0.5 : 0), slot.name);
    const float expected = slot.kind == Kind::learned ? 0.75f : decays ? -1.125f : -1.0f;
    for (const float u : engine.latents().subspan(slot.offset, slot.size))
      CHECK_MESSAGE(u == expected, slot.name);
  }

  Net frozen({"o.weight_decay=0.5"}, [](const auto& slot) { return slot.kind != Kind::learned; });
  std::ranges::fill(frozen.engine->latents(), 1.0f);
  std::ranges::fill(frozen.engine->gradients(), 8.0f);
  Updater quantizers_only(*frozen.engine, optimizer);
  quantizers_only.step(0.25, 0);
  for (const engine::ParameterSlot& slot : frozen.engine->slots())
    for (const float u : frozen.engine->latents().subspan(slot.offset, slot.size))
      CHECK_MESSAGE(u == (slot.kind == Kind::learned ? 0.75f : 1.0f), slot.name);
}

TEST_CASE("learned values have a decay of their own") {
  engine::ParameterSlot slot;
  slot.kind = Kind::learned;
  slot.decay = 0.25;
  Net net({"o.weight_decay=0.5"});
  CHECK(weight_decay(slot, net.optimizer, {}) == 0.25);
}

TEST_CASE("clipping takes what the optimizer moves, limits of learned values first, decay after") {
  const auto is_frozen = [](const engine::ParameterSlot& slot) { return slot.name == "fc2.weight"; };
  for (const bool frozen : {false, true}) {
    Net net({"o.momentum=0", "o.clip_norm=3", "o.clip_value=4", "o.weight_decay=0.5"},
            frozen ? Choice(is_frozen) : Choice());
    engine::Engine& engine = *net.engine;
    std::ranges::fill(engine.latents(), 1.0f);
    std::ranges::fill(engine.gradients(), 8.0f);
    Updater updater(engine, net.optimizer);
    updater.step(0.25, 0);
    double squares = 0;  // of 4 where cut, 2 at the limit of learned values
    for (const engine::ParameterSlot& slot : engine.slots())
      if (!frozen || !is_frozen(slot))
        squares += static_cast<double>(slot.size) * (slot.kind == Kind::learned ? 4 : 16);
    const double factor = 3 / std::sqrt(squares);
    for (const engine::ParameterSlot& slot : engine.slots()) {
      const bool learned = slot.kind == Kind::learned, stays = frozen && is_frozen(slot);
      const double moved = learned ? 0.125 * 2 * factor : 0.25 * (4 * factor + 0.5);
      for (const float u : engine.latents().subspan(slot.offset, slot.size))
        CHECK_MESSAGE(u == doctest::Approx(stays ? 1 : 1 - moved).epsilon(1e-6), slot.name);
      for (const float g : engine.gradients().subspan(slot.offset, slot.size))
        if (stays) CHECK(g == 8);
    }
  }
}

}  // namespace
}  // namespace qtrain::train
