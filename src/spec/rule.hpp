#pragma once
#include <functional>
#include <string>
#include <vector>

#include "spec/reader.hpp"
#include "spec/value.hpp"

namespace qtrain::spec {

/// What a field of type T accepts, in words and as a function.
template <class T>
struct Rule {
  std::string one;   ///< "an integer in [1, 8]"
  std::string many;  ///< "integers in [1, 8]"
  /// Reads a value: "" and the result in `out`, or the mistake as a sentence ("is 12, must be an integer in
  /// [1, 8]").
  std::function<std::string(const Value& value, T& out)> read;
  std::function<bool(const T& value)> allows;
};

Rule<bool> truth_rule();
Rule<int> int_rule(const Bounds& bounds);
Rule<std::int64_t> int64_rule(const Bounds& bounds);
Rule<double> double_rule(const Bounds& bounds);
Rule<std::string> text_rule();
Rule<std::string> word_rule(std::vector<std::string> choices);

}  // namespace qtrain::spec
