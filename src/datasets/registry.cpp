#include <array>
#include <string_view>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

#define DATASET(name, ...) Dataset load_##name(const std::filesystem::path& folder, const Limit& limit);
#include "datasets/datasets.def"
#undef DATASET

std::span<const Entry> registry() {
  static constexpr auto kEntries = std::to_array<Entry>({
#define DATASET(name, sentence, ...) {#name, sentence, load_##name, __VA_ARGS__},
#include "datasets/datasets.def"
#undef DATASET
  });
  return kEntries;
}

const Entry* find(const std::string& name) {
  for (const Entry& entry : registry())
    if (std::string_view(entry.name) == name) return &entry;
  return nullptr;
}

}  // namespace qtrain::datasets
