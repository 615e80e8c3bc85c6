#pragma once
#include <optional>
#include <string>
#include <vector>

#include "spec/diagnostics.hpp"
#include "spec/value.hpp"

namespace qtrain::spec {

using Path = std::vector<std::string>;

/// An `a.b.c=value` word that was laid over a spec.
struct Override {
  Location where;
  Path path;
};

/// Lays a word over the tree; nothing, after reporting why, if it cannot be.
std::optional<Override> lay_override(Value& root, const std::string& word, Diagnostics& diagnostics);

/// Whether a word gave the value, or a part of it.
bool is_laid(const Value& value);

/// The value at a path; null if there is none.
const Value* value_at(const Value& root, const Path& path);

}  // namespace qtrain::spec
