#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "spec/diagnostics.hpp"

namespace qtrain::spec {

struct Entry;

/// One node of a spec as written: scalars keep their text, everything its place. What a text means is decided
/// by the field that reads it.
struct Value {
  enum class Kind { empty, scalar, list, mapping };

  Kind kind = Kind::empty;
  bool quoted = false;         ///< scalar in quotes or block form: a string, never a number
  std::string text;            ///< scalar
  std::vector<Value> items;    ///< list
  std::vector<Entry> entries;  ///< mapping, in the order written, keys distinct
  Location where;

  const Entry* find(std::string_view key) const;
  Entry* find(std::string_view key);
};

struct Entry {
  std::string key;
  Location where;
  Value value;
  bool left_over = false;  ///< a word has since named another in its mapping: no mistake if unknown there
};

/// What a value is, for a message: "empty", "a list", "a mapping", "12", "'abc'", "the string '12'".
std::string describe(const Value& value);

/// A decimal number without leading zeros or plus sign: "-3", "0.5", ".5", "1e-4".
bool is_number(std::string_view text);

/// "a.b", or "b" when `path` is empty.
std::string join_path(std::string_view path, std::string_view key);

/// `method`, `name` and `quantizer`: the other keys of a mapping belong to what one of these names.
bool is_naming(std::string_view key);
/// Whether `over` names another method, or whatever else, than `base`.
bool names_another(const Value& base, const Value& over);

/// Mappings merge key by key, anything else of `over` replaces; so does a mapping below the root that names
/// another than `base`.
Value merge(const Value& base, const Value& over);

}  // namespace qtrain::spec
