#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "spec/reader.hpp"

namespace qtrain::quant {

/// Reads the word under `key` as a name of `table` (or one of `others`) into `value` and returns its row;
/// null for one of `others` or a mistake.
template <class Entry>
const Entry* pick(spec::Reader& keys, const char* key, std::string& value, std::span<const Entry> table,
                  const char* sentence, std::vector<std::string> others = {}) {
  std::vector<std::string> names = std::move(others);
  for (const Entry& entry : table) names.emplace_back(entry.name);
  keys.choice(key, value, names, sentence);
  const auto row = std::ranges::find_if(table, [&](const Entry& entry) { return entry.name == value; });
  return row == table.end() ? nullptr : &*row;
}

}  // namespace qtrain::quant
