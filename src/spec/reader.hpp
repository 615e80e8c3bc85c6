#pragma once
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "spec/diagnostics.hpp"

namespace qtrain::spec {

/// Bounds of a number; an open end excludes the bound itself. Non-finite numbers are never accepted.
struct Bounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;
  bool high_open = false;
  /// "a number > 0", "an integer in [1, 8]", "1" where nothing else is allowed, ...
  std::string text(bool integer) const;
  bool contains(double value) const;
};
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline const Bounds any_number{};
inline const Bounds positive{.low = 0, .low_open = true};
inline const Bounds non_negative{.low = 0};
inline const Bounds fraction{.low = 0, .high = 1};
inline Bounds between(double low, double high) { return {.low = low, .high = high}; }
inline Bounds at_least(double low) { return {.low = low}; }

/// One row of the spec reference, recorded by reading.
struct KeyDoc {
  std::string path;        ///< "train.optimizer.momentum"
  std::string type;        ///< "number >= 0", "one of a, b", "list of integers", "mapping"
  std::string by_default;  ///< default as it would be written in YAML
  std::string sentence;
};

class Document;

/// Maps one YAML mapping to struct fields. Each call names a key, the field (holding its default), what is
/// allowed and one sentence of documentation; it reads the value if the key is given, reports a mistake to
/// the Diagnostics and keeps the default if that value is not allowed, and records the resolved value and the
/// documentation. A default that is itself not allowed (-1 for a size, NaN for a number) stands for "not
/// given" and is not recorded. Knows no experiment key itself. A Reader is a light handle; the Document it
/// comes from must outlive it.
class Reader {
 public:
  void field(std::string_view name, bool& value, std::string_view sentence);
  void field(std::string_view name, int& value, const Bounds& bounds, std::string_view sentence);
  void field(std::string_view name, std::int64_t& value, const Bounds& bounds, std::string_view sentence);
  void field(std::string_view name, double& value, const Bounds& bounds, std::string_view sentence);
  void field(std::string_view name, std::string& value, std::string_view sentence);
  void field(std::string_view name, std::vector<int>& value, const Bounds& each, std::string_view sentence);
  void field(std::string_view name, std::vector<std::int64_t>& value, const Bounds& each,
             std::string_view sentence);
  void field(std::string_view name, std::vector<double>& value, const Bounds& each,
             std::string_view sentence);
  void field(std::string_view name, std::vector<std::string>& value, std::string_view sentence);
  /// A word out of `choices`; anything else is a mistake that lists them and suggests the nearest.
  void choice(std::string_view name, std::string& value, const std::vector<std::string>& choices,
              std::string_view sentence);
  /// A list of words out of `choices`.
  void choices(std::string_view name, std::vector<std::string>& value,
               const std::vector<std::string>& choices, std::string_view sentence);

  /// The mapping under `name`; an empty one when not given (defaults apply, and are recorded in the resolved
  /// spec).
  Reader group(std::string_view name, std::string_view sentence);
  /// The mappings of the list under `name`; empty when not given. Nothing is recorded when not given.
  std::vector<Reader> groups(std::string_view name, std::string_view sentence);

  bool has(
      std::string_view name) const;  ///< the key was given (file or override), see parse for what is left
  /// Whether a `method`, `name` or `quantizer` read here was a choice of none of its words.
  bool names_unknown() const;
  /// Fields of these names then count as not given where a word has left them of another, see parse.
  void drop_left_over(std::initializer_list<std::string_view> names);
  const std::string& path() const;  ///< dotted path of this mapping, "" for the root
  /// A mistake found by a cross-field rule, located at key `name` if given, else at this mapping.
  void mistake(std::string_view name, std::string_view sentence);
  /// Key will be accepted but not recorded (used for a key that another reader of the same mapping reads).
  void ignore(std::string_view name);
  /// Reports every key that nobody asked for, with the nearest known one; none if a `method`, `name` or
  /// `quantizer` was a choice of none of its words, to which they may belong. Call once, after the last
  /// field.
  void finish();

 private:
  friend class Document;
  struct Node;
  explicit Reader(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  std::shared_ptr<Node> node_;
};

/// A parsed spec: the file and the overrides laid over it.
class Document {
 public:
  /// `text` is YAML (or JSON, a subset), `source` its name for messages. `overrides` are `a.b.c=value` words,
  /// the value in YAML flow syntax, which replaces what stood there; `a.0.b=..` indexes lists; missing
  /// mappings on the way are made, lists are not; a later word wins. A word that names another `method`,
  /// `name` or `quantizer` in a mapping below the root leaves keys of the text there that belong to the one
  /// before, and in stages that name nothing themselves: they are no mistake where they are unknown. Of a
  /// text with the keys `schema` and `spec`, a file of metrics, the latter's mapping is read. Syntax errors,
  /// repeated keys, a text without a mapping and malformed overrides become diagnostics; reading then goes on
  /// as far as it can.
  static Document parse(std::string_view text, std::string source,
                        const std::vector<std::string>& overrides = {});
  /// Reads the file, or for `-` the standard input, named <stdin>; an Error (usage) says so if it cannot be
  /// read.
  static Document load(const std::string& path, const std::vector<std::string>& overrides = {});

  Reader root();
  Diagnostics& diagnostics();
  /// Every value read so far, defaults filled in, in order of reading.
  const nlohmann::ordered_json& resolved() const;
  const std::vector<KeyDoc>& documentation() const;
  /// A new Document of this one's values with the partial mapping of list element `stages[index]` merged over
  /// them (the key `list` itself removed). Locations are kept. Used for stages: each a partial spec over the
  /// whole. Mappings merge key by key; scalars and lists replace; a mapping below the root whose `method`,
  /// `name` or `quantizer` is given and differs from the base's replaces the base's mapping wholly, whose
  /// other keys belong to what it named. Mistakes go to this document's Diagnostics, so that those of all
  /// stages are reported at once.
  Document merged(std::string_view list, std::size_t index) const;
  /// Reports each override of which `merged` has nothing for any element of the list, and warns of one that
  /// some elements replace by a value of their own.
  void report_replaced(std::string_view list) const;
  /// 0 when absent; anything but a list is a mistake, and counts 0 too.
  std::size_t list_size(std::string_view list) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace qtrain::spec
