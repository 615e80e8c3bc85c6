#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "model/models.hpp"

namespace qtrain::model {

std::span<const Entry> registry() {
#define MODEL(name, file) Entry{#name, read_##name},
  static constexpr auto kModels = std::to_array<Entry>({
#include "model/models.def"
  });
#undef MODEL
  return kModels;
}

Graph ModelSpec::read(spec::Reader keys, const Shape& input, int classes) {
  QTRAIN_CHECK(input.size() == 3, "input {} of the model, must be C, H, W", to_string(input));
  std::vector<std::string> names;
  for (const Entry& entry : registry()) names.emplace_back(entry.name);
  keys.choice("name", name, names, "architecture");
  keys.field("init", init, "safetensors file to start from; empty: weights drawn from the seed");

  const auto entry = std::ranges::find(registry(), name, &Entry::name);
  QTRAIN_CHECK(entry != registry().end(), "no model {}", name);
  Graph graph = entry->read(keys, input, classes);
  keys.finish();
  try {
    infer_shapes(graph);
  } catch (const Error& error) {
    keys.mistake("name", error.what());
  }
  return graph;
}

}  // namespace qtrain::model
