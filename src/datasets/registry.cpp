#include <fmt/format.h>

#include <array>
#include <string_view>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {

#define IMAGES(name, ...) Dataset load_##name(const std::filesystem::path& folder, const DatasetSpec& spec);
#define TEXT(name, ...) IMAGES(name)
#include "datasets/datasets.def"
#undef IMAGES
#undef TEXT

std::span<const Entry> registry() {
  static constexpr auto kEntries = std::to_array<Entry>({
#define IMAGES(name, sentence, folder, file, channels, height, width, classes, train, test) \
  {#name, sentence, load_##name, folder, file, false, channels, height, width, classes, train, test, 0},
#define TEXT(name, sentence, folder, file, vocabulary, train, validation, test) \
  {#name, sentence, load_##name, folder, file, true, 0, 0, 0, vocabulary, train, test, validation},
#include "datasets/datasets.def"
#undef IMAGES
#undef TEXT
  });
  return kEntries;
}

const Entry* find(const std::string& name) {
  for (const Entry& entry : registry())
    if (std::string_view(entry.name) == name) return &entry;
  return nullptr;
}

std::string shape_text(const Entry& entry) {
  if (entry.text) return fmt::format("a text with a vocabulary of {}", entry.classes);
  return fmt::format("{}x{}x{} with {} classes", entry.channels, entry.height, entry.width, entry.classes);
}

bool can_stand_in(const Entry& other, const Entry& entry) {
  if (other.text && entry.text) return other.classes <= entry.classes;
  return shape_text(other) == shape_text(entry);
}

}  // namespace qtrain::datasets
