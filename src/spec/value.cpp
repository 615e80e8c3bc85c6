#include "spec/value.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "spec/override.hpp"

namespace qtrain::spec {
namespace {

constexpr std::size_t kShownBytes = 60;

std::string_view shortened(std::string_view text) {
  if (text.size() <= kShownBytes) return text;
  std::size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;  // not inside a UTF-8 sequence
  return text.substr(0, end);
}

std::size_t count_digits(std::string_view text) {
  return std::min(text.find_first_not_of("0123456789"), text.size());
}

/// What says whose keys those of a mapping are; null if nothing does.
const Entry* naming_entry(const Value& mapping) {
  const auto it = std::find_if(mapping.entries.begin(), mapping.entries.end(),
                               [](const Entry& entry) { return is_naming(entry.key); });
  return it == mapping.entries.end() ? nullptr : &*it;
}

Value merge_at(const Value& base, const Value& over, bool root) {
  const bool mappings = base.kind == Value::Kind::mapping && over.kind == Value::Kind::mapping;
  if (!mappings || (!root && names_another(base, over))) return over;
  const Entry* named = root ? nullptr : naming_entry(base);
  const bool renamed = named != nullptr && is_laid(named->value) && naming_entry(over) == nullptr;
  Value result = base;
  for (const Entry& entry : over.entries) {
    const bool left_over = entry.left_over || (renamed && !is_laid(entry.value));
    if (Entry* ours = result.find(entry.key)) {
      ours->value = merge_at(ours->value, entry.value, false);
      ours->where = entry.where;
      ours->left_over = left_over;
    } else {
      result.entries.push_back(entry);
      result.entries.back().left_over = left_over;
    }
  }
  return result;
}

}  // namespace

const Entry* Value::find(std::string_view key) const {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  return it == entries.end() ? nullptr : &*it;
}

Entry* Value::find(std::string_view key) {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  return it == entries.end() ? nullptr : &*it;
}

std::string describe(const Value& value) {
  if (value.kind == Value::Kind::empty) return "empty";
  if (value.kind == Value::Kind::list) return "a list";
  if (value.kind == Value::Kind::mapping) return "a mapping";
  const std::string_view shown = shortened(value.text);
  const bool number = is_number(value.text);
  if (number && !value.quoted && shown.size() == value.text.size()) return value.text;
  const bool mistakable = value.quoted && (number || value.text == "true" || value.text == "false");
  return fmt::format("{}'{}{}'", mistakable ? "the string " : "", shown,
                     shown.size() < value.text.size() ? "..." : "");
}

bool is_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const std::size_t whole = count_digits(text);
  if (whole > 1 && text.front() == '0') return false;
  text.remove_prefix(whole);
  std::size_t part = 0;
  if (text.starts_with('.')) {
    part = count_digits(text.substr(1));
    text.remove_prefix(1 + part);
  }
  if (whole + part == 0) return false;
  if (text.empty()) return true;
  if (text.front() != 'e' && text.front() != 'E') return false;
  text.remove_prefix(1);
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && count_digits(text) == text.size();
}

std::string join_path(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

bool is_naming(std::string_view key) { return key == "method" || key == "name" || key == "quantizer"; }

bool names_another(const Value& base, const Value& over) {
  return std::any_of(over.entries.begin(), over.entries.end(), [&](const Entry& theirs) {
    if (!is_naming(theirs.key)) return false;
    const Entry* ours = base.find(theirs.key);
    return ours == nullptr || ours->value.text != theirs.value.text;
  });
}

Value merge(const Value& base, const Value& over) { return merge_at(base, over, true); }

}  // namespace qtrain::spec
