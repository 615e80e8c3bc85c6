#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace qtrain::run {

/// JSON on one line. Keys keep their order; numbers take the shortest form that reads back; a non-finite one
/// is null.
std::string compact_text(const nlohmann::ordered_json& value);

/// JSON with one key a line, so that plain `diff` shows what changed; lists of plain values stay on one line.
/// Ends with a newline.
std::string indented_text(const nlohmann::ordered_json& value);

}  // namespace qtrain::run
