#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "spec/reader.hpp"
#include "spec/rule.hpp"
#include "spec/value.hpp"

namespace qtrain::spec {

/// What reading a document leaves behind.
struct Recording {
  std::shared_ptr<Diagnostics> diagnostics;
  nlohmann::ordered_json resolved = nlohmann::ordered_json::object();
  std::vector<KeyDoc> documentation;
  std::set<std::string> documented;  ///< paths of `documentation`
};

/// One mapping being read.
struct Reader::Node {
  Recording* recording = nullptr;
  const Value* mapping = nullptr;  ///< an empty value when the mapping was not given
  Location where;
  std::string path;
  std::string doc_path;  ///< as `path`, with N in place of list indices
  nlohmann::ordered_json::json_pointer at;
  std::vector<std::string> known;
  std::string named;                 ///< " with method bwn": what its keys belong to; "" if they name nothing
  bool names_unknown = false;        ///< what its keys belong to is not known: they are not reported
  std::vector<std::string> dropped;  ///< keys that count as not given where they are left over

  /// What a field reads under `name`; null if there is nothing.
  const Entry* given(std::string_view name) const;

  /// False after reporting a mistake.
  template <class T>
  bool read(std::string_view name, T& value, const Rule<T>& rule, std::string_view sentence);
  template <class T>
  void read_list(std::string_view name, std::vector<T>& values, const Rule<T>& each,
                 std::string_view sentence);
  /// Reads the items of a list into `out`; false after reporting a mistake.
  template <class T>
  bool read_items(const Value& list, const std::string& list_path, const Rule<T>& each, std::vector<T>& out);

  /// Notes that `name` is a key of this mapping, and its documentation.
  void document(std::string_view name, std::string_view type, const std::string& by_default,
                std::string_view sentence);
  void record(std::string_view name, nlohmann::ordered_json value);
  /// A reader's node for the mapping under `key`, as long as nothing is given there.
  std::shared_ptr<Node> child(std::string_view key, std::string_view doc_key,
                              nlohmann::ordered_json::json_pointer place) const;
  /// Reads from `value` from now on, if it is a mapping; reports it otherwise.
  void enter(const Value& value);
  void report(const Value& value, std::string_view name, std::string_view sentence);
};

/// The sentence for a value that should be a mapping ("is 3, must be a mapping"), "" when it is one.
std::string mapping_mistake(const Value& value);
/// The same for a list of mappings, its elements not looked at.
std::string mapping_list_mistake(const Value& value);

}  // namespace qtrain::spec
