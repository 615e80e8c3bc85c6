#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "spec/node.hpp"
#include "spec/override.hpp"
#include "spec/reader.hpp"
#include "spec/value.hpp"
#include "spec/yaml.hpp"

namespace qtrain::spec {
namespace {

/// At most one byte more than a spec may have.
std::string read_start(std::istream& stream) {
  std::string text(kMaxSpecBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

std::string read_file(const std::string& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  std::string text = read_start(stream);
  if (!stream.is_open() || stream.bad())
    fail(ExitCode::usage, "cannot read {}: {}; check that it is a file that exists and may be read", path,
         std::generic_category().message(errno));
  return text;
}

/// Of a file of metrics the spec in it.
void take_spec(Value& root) {
  const Entry* spec = root.find("schema") != nullptr ? root.find("spec") : nullptr;
  if (spec == nullptr || spec->value.kind != Value::Kind::mapping) return;
  Value taken = spec->value;
  root = std::move(taken);
}

}  // namespace

struct Document::State {
  Recording recording;
  Value root;
  std::vector<Override> overrides;
};

Document Document::parse(std::string_view text, std::string source,
                         const std::vector<std::string>& overrides) {
  Document document;
  document.state_ = std::make_shared<State>();
  document.state_->recording.diagnostics = std::make_shared<Diagnostics>();
  Diagnostics& diagnostics = *document.state_->recording.diagnostics;
  const Location start{std::move(source), 1, 1};
  Value& root = document.state_->root;
  const bool whole = parse_yaml(text, start, "", diagnostics, root);
  if (root.kind != Value::Kind::mapping) {
    const bool empty = root.kind == Value::Kind::empty;
    if (!empty) diagnostics.add(root.where, "", mapping_mistake(root));
    if (empty && whole) diagnostics.add(start, "", "is empty, must be a mapping");
    root = Value{};
    root.kind = Value::Kind::mapping;
    root.where = start;
  }
  take_spec(root);
  for (const std::string& word : overrides)
    if (std::optional<Override> laid = lay_override(root, word, diagnostics))
      document.state_->overrides.push_back(std::move(*laid));
  return document;
}

Document Document::load(const std::string& path, const std::vector<std::string>& overrides) {
  if (path == "-") return parse(read_start(std::cin), "<stdin>", overrides);
  return parse(read_file(path), path, overrides);
}

Reader Document::root() {
  const Value& root = state_->root;
  auto node = std::make_shared<Reader::Node>();
  node->recording = &state_->recording;
  node->mapping = &root;
  node->where = root.where;
  return Reader(std::move(node));
}

Diagnostics& Document::diagnostics() { return *state_->recording.diagnostics; }

const nlohmann::ordered_json& Document::resolved() const { return state_->recording.resolved; }

const std::vector<KeyDoc>& Document::documentation() const { return state_->recording.documentation; }

Document Document::merged(std::string_view list, std::size_t index) const {
  const std::size_t size = list_size(list);
  QTRAIN_CHECK(index < size, "item {} of '{}', which has {}", index, list, size);
  Document document;
  document.state_ = std::make_shared<State>();
  document.state_->recording.diagnostics = state_->recording.diagnostics;
  Value base = state_->root;
  const Value item = base.find(list)->value.items[index];
  std::erase_if(base.entries, [&](const Entry& entry) { return entry.key == list; });
  const std::string complaint = mapping_mistake(item);
  if (!complaint.empty()) {
    const std::string path = join_path(list, std::to_string(index));
    state_->recording.diagnostics->add(item.where, path, complaint);
  }
  document.state_->root = complaint.empty() ? merge(base, item) : std::move(base);
  return document;
}

void Document::report_replaced(std::string_view list) const {
  const std::size_t size = list_size(list);
  std::vector<Document> merges;
  for (std::size_t i = 0; i < size; ++i) merges.push_back(merged(list, i));
  for (const Override& word : state_->overrides) {
    if (word.path.front() == list) continue;
    const std::string path = fmt::format("{}", fmt::join(word.path, "."));
    std::vector<std::string> places, own;  // where it does not reach, and where there is another value
    for (std::size_t i = 0; i < merges.size(); ++i) {
      const Value* value = value_at(merges[i].state_->root, word.path);
      if (value != nullptr && is_laid(*value)) continue;
      places.push_back(fmt::format("{}.{}.{}", list, i, path));
      if (value != nullptr) own.push_back(places.back());
    }
    Diagnostics& diagnostics = *state_->recording.diagnostics;
    if (!places.empty() && places.size() == merges.size())
      diagnostics.add(word.where, path,
                      fmt::format("is replaced by each of {}: set {}", list, fmt::join(places, ", ")));
    else if (!own.empty())
      diagnostics.warn(
          word.where, path,
          fmt::format("does not reach all of {}, as some set their own: where it should, set {} too", list,
                      fmt::join(own, ", ")));
  }
}

std::size_t Document::list_size(std::string_view list) const {
  const Entry* entry = state_->root.find(list);
  if (entry == nullptr) return 0;
  const std::string complaint = mapping_list_mistake(entry->value);
  if (!complaint.empty()) state_->recording.diagnostics->add(entry->value.where, list, complaint);
  return entry->value.items.size();
}

}  // namespace qtrain::spec
