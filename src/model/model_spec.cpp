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
  keys.finish();
  return graph;
}

}  // namespace qtrain::model
