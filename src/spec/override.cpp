#include "spec/override.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "spec/utf8.hpp"
#include "spec/yaml.hpp"

namespace qtrain::spec {
namespace {

Path split(std::string_view path) {
  Path parts;
  while (true) {
    const std::size_t dot = path.find('.');
    parts.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    path.remove_prefix(dot + 1);
  }
}

/// Index of the item that a part of a path names; nothing if the list has none such.
std::optional<std::size_t> item_index(const Value& list, const std::string& part) {
  std::size_t index = 0;
  const char* const end = part.data() + part.size();
  const auto result = std::from_chars(part.data(), end, index);
  if (result.ec != std::errc() || result.ptr != end || index >= list.items.size()) return std::nullopt;
  return index;
}

bool is_index(const std::string& part) { return part.find_first_not_of("0123456789") == std::string::npos; }

/// The value under `key` of `node`, made if missing; null, with the sentence in `complaint`, if there can be
/// none.
Value* step_into(Value& node, const std::string& key, const Location& where, std::string& complaint) {
  if (node.kind == Value::Kind::empty && is_index(key)) {
    complaint = fmt::format("has no item '{}', the spec gives no list there: set the whole list", key);
    return nullptr;
  }
  if (node.kind == Value::Kind::empty) {
    node.kind = Value::Kind::mapping;
    node.where = where;
  }
  if (node.kind == Value::Kind::scalar) {
    complaint = fmt::format("is {}, must be a mapping to hold '{}'", describe(node), key);
    return nullptr;
  }
  if (node.kind == Value::Kind::list) {
    if (const std::optional<std::size_t> index = item_index(node, key)) return &node.items[*index];
    complaint = fmt::format("has no item '{}', it is a list of {}, counted from 0", key, node.items.size());
    return nullptr;
  }
  if (Entry* entry = node.find(key)) {
    if (std::exchange(entry->left_over, false)) entry->where = where;
    return &entry->value;
  }
  Value missing;
  missing.where = where;
  node.entries.push_back({key, where, std::move(missing)});
  return &node.entries.back().value;
}

/// Where a word names another method, keys that the text gave for the one before may be unknown now. Those
/// that both have keep their values, which is where the rule of stages differs: a word changes one thing.
void leave_over(Value& mapping, const std::string& key, const Value& named) {
  Value over;
  over.entries.push_back({key, named.where, named});
  if (!names_another(mapping, over)) return;
  for (Entry& entry : mapping.entries) entry.left_over = !is_laid(entry.value);
}

/// False, after reporting why, if there can be no value at the path.
bool put(Value& root, const Path& parts, const Value& value, const Location& where,
         Diagnostics& diagnostics) {
  Value* node = &root;
  std::string path;
  bool in_mapping = false;  // neither the root nor an item of a list: those are whole specs
  for (const std::string& part : parts) {
    if (in_mapping && &part == &parts.back()) leave_over(*node, part, value);
    in_mapping = node->kind != Value::Kind::list;
    std::string complaint;
    node = step_into(*node, part, where, complaint);
    if (node == nullptr) {
      diagnostics.add(where, path, complaint);
      return false;
    }
    path = join_path(path, part);
  }
  *node = value;
  return true;
}

}  // namespace

bool is_laid(const Value& value) {
  if (value.entries.empty() && value.where.line == 0) return true;
  return std::any_of(value.items.begin(), value.items.end(), is_laid) ||
         std::any_of(value.entries.begin(), value.entries.end(),
                     [](const Entry& entry) { return is_laid(entry.value); });
}

const Value* value_at(const Value& root, const Path& parts) {
  const Value* node = &root;
  for (const std::string& part : parts) {
    const Entry* entry = node->find(part);
    const std::optional<std::size_t> index = item_index(*node, part);
    if (entry == nullptr && !index) return nullptr;
    node = entry != nullptr ? &entry->value : &node->items[*index];
  }
  return node;
}

std::optional<Override> lay_override(Value& root, const std::string& word, Diagnostics& diagnostics) {
  if (first_non_text(word) != word.size()) {
    std::string shown = word;
    std::replace_if(
        shown.begin(), shown.end(), [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; }, '?');
    diagnostics.add({shown, 0, 0}, "", "is not UTF-8 text, must be path=value");
    return std::nullopt;
  }
  const Location where{word, 0, 0};
  const std::size_t equals = word.find('=');
  const std::string path = word.substr(0, equals);
  const Path parts = split(path);
  const bool hollow =
      std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  if (equals == std::string::npos || hollow || parts.size() > kMaxDepth) {
    diagnostics.add(where, "", "is malformed, must be path=value, such as train.epochs=1");
    return std::nullopt;
  }
  Value value;
  const bool good = parse_yaml(std::string_view(word).substr(equals + 1), where, path, diagnostics, value);
  Value laid = root;  // a word that cannot be laid leaves nothing
  if (!good || !put(laid, parts, value, where, diagnostics)) return std::nullopt;
  root = std::move(laid);
  return Override{where, parts};
}

}  // namespace qtrain::spec
