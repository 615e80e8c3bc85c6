#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "base/words.hpp"
#include "datasets/dataset.hpp"
#include "datasets/locate.hpp"

namespace qtrain::datasets {
namespace {

const Entry& known(const std::string& name) {
  const Entry* entry = find(name);
  if (entry == nullptr)
    fail(ExitCode::usage, "there is no data set '{}'; `qtrain list datasets` names them", name);
  return *entry;
}

std::string searched(const Entry& entry, const std::string& root) {
  std::string list;
  for (const auto& folder : folders_to_search(entry, root))
    list += (list.empty() ? "" : ", ") + folder.string();
  return list;
}

/// How to get the files, or to do without them.
std::string remedy(const Entry& entry, const std::string& root) {
  std::vector<std::string> ways = {fmt::format("get it with `data/fetch.sh {}`", entry.name)};
  if (root.empty())
    ways.push_back(fmt::format("point QTRAIN_DATA at the folder that holds {}", entry.usual_folder));
  else
    ways.push_back("correct dataset.root or leave it out to look below $QTRAIN_DATA and data/");
  for (const Entry& other : registry())
    if (other.usual_folder == nullptr && can_stand_in(other, entry))
      ways.push_back(fmt::format("let `dataset.if_missing: {}` stand in", other.name));
  return joined_words(ways, ", or ");
}

std::vector<std::uint8_t> little_endian(const std::vector<std::uint16_t>& numbers) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(2 * numbers.size());
  for (const std::uint16_t number : numbers) {
    bytes.push_back(static_cast<std::uint8_t>(number & 0xff));
    bytes.push_back(static_cast<std::uint8_t>(number >> 8));
  }
  return bytes;
}

std::string digest(const Dataset& dataset) {
  Sha256 hash;
  if (dataset.is_text()) {
    for (const Text* text : {&dataset.train_text, &dataset.test_text})
      hash.update(little_endian(text->tokens));
    return hash.hex();
  }
  for (const Images* images : {&dataset.train, &dataset.test}) {
    hash.update(images->pixels);
    hash.update(images->labels);
  }
  return hash.hex();
}

void keep_first(Images& images, int limit) {
  if (limit == 0 || limit >= images.count) return;
  const auto image = static_cast<std::size_t>(images.channels * images.height * images.width);
  images.count = limit;
  images.labels.resize(static_cast<std::size_t>(limit));
  images.labels.shrink_to_fit();
  images.pixels.resize(static_cast<std::size_t>(limit) * image);
  images.pixels.shrink_to_fit();
}

/// Moves the last `count` images, fewer than there are, into a set of their own.
Images split_last(Images& images, int count) {
  const std::ptrdiff_t image = images.channels * images.height * images.width;
  Images last{.count = count,
              .channels = images.channels,
              .height = images.height,
              .width = images.width,
              .classes = images.classes,
              .pixels = {images.pixels.end() - count * image, images.pixels.end()},
              .labels = {images.labels.end() - count, images.labels.end()}};
  keep_first(images, images.count - count);
  return last;
}

void keep_first(Text& text, int limit) {
  if (limit == 0 || static_cast<std::size_t>(limit) >= text.tokens.size()) return;
  text.tokens.resize(static_cast<std::size_t>(limit));
  text.tokens.shrink_to_fit();
}

}  // namespace

Loaded load(const DatasetSpec& spec) {
  const Entry* entry = &known(spec.name);
  std::filesystem::path folder;
  Loaded loaded;
  if (entry->usual_folder != nullptr && (folder = locate(*entry, spec.root)).empty()) {
    const std::string looked = searched(*entry, spec.root);
    if (spec.if_missing.empty())
      fail(ExitCode::data, "data set '{}' is not there (looked for {} in {}): {}", entry->name,
           entry->first_file, looked, remedy(*entry, spec.root));
    loaded.substituted = true;
    loaded.warning = fmt::format(
        "data set '{}' is not there (looked for {} in {}): the generated set '{}' stands in, and the results "
        "are not "
        "those of {}; `data/fetch.sh {}` gets the real one",
        entry->name, entry->first_file, looked, spec.if_missing, entry->name, entry->name);
    entry = &known(spec.if_missing);
    if (entry->usual_folder != nullptr)
      fail(ExitCode::usage, "dataset.if_missing is '{}', which needs files itself; name a generated set",
           entry->name);
  }
  Dataset& dataset = loaded.dataset;
  dataset = entry->load(folder, spec);
  dataset.name = entry->name;
  dataset.sha256 = digest(dataset);
  keep_first(dataset.train, spec.limit.train);
  keep_first(dataset.test, spec.limit.test);
  keep_first(dataset.train_text, spec.limit.train);
  keep_first(dataset.test_text, spec.limit.test);
  if (spec.held_out > 0) dataset.held_out = split_last(dataset.train, spec.held_out);
  return loaded;
}

}  // namespace qtrain::datasets
