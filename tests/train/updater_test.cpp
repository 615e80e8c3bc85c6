#include "train/updater.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "quant/activation.hpp"

namespace qtrain::train {
namespace {

using Kind = engine::ParameterSlot::Kind;

TEST_CASE(
    "one SGD step: decay on weights, biases and batch norm, not on learned values, whose gradient is "
    "clamped") {
  spec::Document document =
      spec::Document::parse("{}", "test",
                            {"model.name=mlp", "model.widths=[8]", "activations.quantizer=quantized_relu",
                             "activations.alpha=learned", "activations.alpha_rate=0.5", "o.name=sgd",
                             "o.learning_rate=0.25", "o.weight_decay=0.5"});
  model::ModelSpec model;
  const model::Graph graph = model.read(document.root().group("model", ""), {1, 4, 4}, 3);
  quant::ActivationSpec activations;
  activations.read(document.root().group("activations", ""));
  optim::OptimizerSpec optimizer;
  optimizer.read(document.root().group("o", ""));
  document.diagnostics().throw_if_any();
  engine::Quantization quantization;
  quantization.activations = activations.make;
  quantization.ste = activations.make_ste;
  engine::Engine engine(graph, quantization, {}, {.threads = 1, .shard = 4, .batch = 4, .seed = 1});
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
  Updater first_only(engine, optimizer, {}, first);
  first_only.step(0.25, 0);
  for (const engine::ParameterSlot& slot : engine.slots()) {
    const bool decays = slot.name == "fc1.weight";
    CHECK_MESSAGE(weight_decay(slot, optimizer, first) == (decays ? 0.5 : 0), slot.name);
    const float expected = slot.kind == Kind::learned ? 0.75f : decays ? -1.125f : -1.0f;
    for (const float u : engine.latents().subspan(slot.offset, slot.size))
      CHECK_MESSAGE(u == expected, slot.name);
  }

  std::ranges::fill(engine.latents(), 1.0f);
  Updater quantizers_only(engine, optimizer, [](const auto& slot) { return slot.kind != Kind::learned; });
  quantizers_only.step(0.25, 0);
  for (const engine::ParameterSlot& slot : engine.slots())
    for (const float u : engine.latents().subspan(slot.offset, slot.size))
      CHECK_MESSAGE(u == (slot.kind == Kind::learned ? 0.75f : 1.0f), slot.name);
}

}  // namespace
}  // namespace qtrain::train
