#pragma once
#include <string_view>

#include "spec/diagnostics.hpp"
#include "spec/value.hpp"

namespace qtrain::spec {

inline constexpr std::size_t kMaxSpecBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxDepth = 64;
inline constexpr std::size_t kMaxValues = 10'000;  ///< aliases counted as what they stand for

/// Reads one YAML document (JSON is a subset) into `tree`. Syntax errors, repeated keys, keys that are no
/// words, tags, merge keys, text that is not UTF-8 and documents beyond the limits above become diagnostics.
/// False when the text could not be read to its end; `tree` then holds what came before. Places are counted
/// from 1 in the file `source.source`; with `source.line` 0 every value stands at the override `source`,
/// under `path`.
bool parse_yaml(std::string_view text, const Location& source, std::string_view path,
                Diagnostics& diagnostics, Value& tree);

}  // namespace qtrain::spec
