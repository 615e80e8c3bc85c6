#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "model/models.hpp"

namespace qtrain::model {

std::span<const Entry> registry() {
#define MODEL(name, file, takes) Entry{#name, Input::takes, read_##name},
  static constexpr auto kModels = std::to_array<Entry>({
#include "model/models.def"
  });
#undef MODEL
  return kModels;
}

namespace {

/// How weights of convolutions and linear layers start where it is not the model's own way.
struct Start {
  double glorot_gain = 0, uniform_bound = 0, bias_deviation = 0;  // 0: not given

  void read(spec::Reader& keys, const std::string& init) {
    keys.field("glorot_gain", glorot_gain, spec::positive,
               "weights of convolutions and linear layers start from U(+-gain sqrt(6 / (fan_in + fan_out))) "
               "(Glorot, Bengio, AISTATS 2010); not given: in the model's own way");
    keys.field("uniform_bound", uniform_bound, spec::positive, "or from U(+-bound)");
    keys.field("bias_deviation", bias_deviation, spec::positive,
               "and their biases from N(0, deviation); not given: from 0");
    if (keys.has("glorot_gain") && keys.has("uniform_bound"))
      keys.mistake("uniform_bound", "stands beside glorot_gain: one of the two must be left out");
    for (const char* key : {"glorot_gain", "uniform_bound", "bias_deviation"})
      if (keys.has(key) && !init.empty())
        keys.mistake(key,
                     "says how weights are drawn, but they come from init: one of the two must be left out");
  }

  void lay_over(Graph& graph) const {
    for (Layer& layer : graph.layers) {
      if (layer.op != Op::convolution && layer.op != Op::linear) continue;
      if (glorot_gain > 0 || uniform_bound > 0) {
        layer.init = glorot_gain > 0 ? Init::glorot_uniform : Init::uniform;
        layer.deviation = std::max(glorot_gain, uniform_bound);
      }
      if (bias_deviation > 0) layer.bias_deviation = bias_deviation;
    }
  }
};

}  // namespace

Graph ModelSpec::read(spec::Reader keys, const Shape& input, int classes) {
  QTRAIN_CHECK(input.size() == 3 || input.size() == 1, "input {} of the model, must be C, H, W or T",
               to_string(input));
  std::vector<std::string> names;
  for (const Entry& entry : registry()) names.emplace_back(entry.name);
  keys.choice("name", name, names, "architecture");
  keys.field("init", init, "safetensors file to start from; empty: weights drawn from the seed");

  const auto entry = std::ranges::find(registry(), name, &Entry::name);
  QTRAIN_CHECK(entry != registry().end(), "no model {}", name);
  const Input given = input.size() == 1 ? Input::text : Input::images;
  const bool fits = entry->takes == given;
  if (!fits) {
    const auto word = [](Input kind) { return kind == Input::text ? "text" : "images"; };
    keys.mistake("name", fmt::format("is {}, which takes {}, must be a model of {}, as the data set is", name,
                                     word(entry->takes), word(given)));
  }
  // The model's other keys are checked all the same, on an input of its kind.
  const Shape usual = entry->takes == Input::text ? Shape{1} : Shape{3, 32, 32};
  Graph graph = entry->read(keys, fits ? input : usual, classes);
  try {
    infer_shapes(graph);
  } catch (const Error& error) {
    keys.mistake("name", error.what());
    graph = entry->read(keys, usual, classes);  // for what is checked next
  }
  Start start;
  if (entry->takes == Input::images) start.read(keys, init);
  start.lay_over(graph);
  keys.finish();
  return graph;
}

}  // namespace qtrain::model
