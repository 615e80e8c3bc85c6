#include "spec/rule.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

namespace qtrain::spec {
namespace {

/// " > 0", " in [1, 8]", "" when unbounded.
std::string range_text(const Bounds& bounds) {
  const bool has_low = std::isfinite(bounds.low);
  const bool has_high = std::isfinite(bounds.high);
  if (has_low && has_high)
    return fmt::format(" in {}{}, {}{}", bounds.low_open ? '(' : '[', bounds.low, bounds.high,
                       bounds.high_open ? ')' : ']');
  if (has_low) return fmt::format(" {} {}", bounds.low_open ? ">" : ">=", bounds.low);
  if (has_high) return fmt::format(" {} {}", bounds.high_open ? "<" : "<=", bounds.high);
  return "";
}

std::string mistake(const Value& value, std::string_view note, std::string_view must_be) {
  return fmt::format("is {}{}, must be {}", describe(value), note, must_be);
}

/// Why a plain scalar that looks like a number to a human or to YAML is none; "" otherwise.
std::string_view number_note(const Value& value) {
  if (value.kind != Value::Kind::scalar || value.quoted) return "";
  std::string_view digits = value.text;
  if (digits.starts_with('-') || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9')
    return ", with a leading zero";
  std::string lower(digits);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (lower == ".nan" || lower == "nan" || lower == ".inf" || lower == "inf") return ", not finite";
  return "";
}

bool is_plain_number(const Value& value) {
  return value.kind == Value::Kind::scalar && !value.quoted && is_number(value.text);
}

/// Exactly, where as a double a large integer may round to the bound that it is beyond.
template <class T>
bool holds(const Bounds& bounds, T integer) {
  static_assert(std::numeric_limits<long double>::digits >= std::numeric_limits<T>::digits);
  const auto value = static_cast<long double>(integer);
  const auto low = static_cast<long double>(bounds.low), high = static_cast<long double>(bounds.high);
  return (bounds.low_open ? value > low : value >= low) && (bounds.high_open ? value < high : value <= high);
}

template <class T>
std::string read_integer(const Value& value, const Bounds& bounds, T& out) {
  const std::string must_be = bounds.text(true);
  if (!is_plain_number(value)) return mistake(value, number_note(value), must_be);
  const char* const end = value.text.data() + value.text.size();
  T number{};
  const auto result = std::from_chars(value.text.data(), end, number);
  if (result.ec == std::errc::result_out_of_range && result.ptr == end)
    return mistake(value, fmt::format(", beyond {} bits", 8 * sizeof(T)), must_be);
  if (result.ec != std::errc() || result.ptr != end || !holds(bounds, number))
    return mistake(value, "", must_be);
  out = number;
  return "";
}

std::string read_double(const Value& value, const Bounds& bounds, double& out) {
  const std::string must_be = bounds.text(false);
  if (!is_plain_number(value)) return mistake(value, number_note(value), must_be);
  double number = 0;
  const auto result = std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
  if (result.ec != std::errc()) return mistake(value, ", beyond the range of a double", must_be);
  if (!bounds.contains(number)) return mistake(value, "", must_be);
  out = number;
  return "";
}

std::string read_truth(const Value& value, bool& out) {
  const bool plain = value.kind == Value::Kind::scalar && !value.quoted;
  if (!plain || (value.text != "true" && value.text != "false")) return mistake(value, "", "true or false");
  out = value.text == "true";
  return "";
}

/// A word `path=`, whose value is empty and not the empty string.
bool is_bare_word(const Value& value) {
  return value.kind == Value::Kind::empty && value.where.line == 0 && value.where.source.ends_with('=');
}

std::string read_text(const Value& value, std::string& out) {
  if (is_bare_word(value))
    return mistake(value, "", fmt::format("a string, an empty one as {}'\"\"'", value.where.source));
  if (value.kind != Value::Kind::scalar) return mistake(value, "", "a string");
  out = value.text;
  return "";
}

std::string read_word(const Value& value, const std::vector<std::string>& choices, std::string& out) {
  const bool scalar = value.kind == Value::Kind::scalar;
  if (scalar && std::find(choices.begin(), choices.end(), value.text) != choices.end()) {
    out = value.text;
    return "";
  }
  const std::string sentence = mistake(value, "", fmt::format("one of {}", fmt::join(choices, ", ")));
  const std::string meant = scalar ? nearest(value.text, choices) : "";
  return meant.empty() ? sentence : fmt::format("{}, did you mean '{}'?", sentence, meant);
}

template <class T>
Rule<T> integer_rule(const Bounds& bounds) {
  return {bounds.text(true), "integers" + range_text(bounds),
          [bounds](const Value& value, T& out) { return read_integer(value, bounds, out); },
          [bounds](const T& value) { return holds(bounds, value); }};
}

}  // namespace

std::string Bounds::text(bool integer) const {
  if (low == high && !low_open && !high_open) return fmt::format("{}", low);
  return (integer ? "an integer" : "a number") + range_text(*this);
}

bool Bounds::contains(double value) const {
  if (!std::isfinite(value)) return false;
  const bool above = low_open ? value > low : value >= low;
  const bool below = high_open ? value < high : value <= high;
  return above && below;
}

Rule<bool> truth_rule() {
  return {"true or false", "true or false", read_truth, [](const bool&) { return true; }};
}

Rule<int> int_rule(const Bounds& bounds) { return integer_rule<int>(bounds); }

Rule<std::int64_t> int64_rule(const Bounds& bounds) { return integer_rule<std::int64_t>(bounds); }

Rule<double> double_rule(const Bounds& bounds) {
  return {bounds.text(false), "numbers" + range_text(bounds),
          [bounds](const Value& value, double& out) { return read_double(value, bounds, out); },
          [bounds](const double& value) { return bounds.contains(value); }};
}

Rule<std::string> text_rule() {
  return {"a string", "strings", read_text, [](const std::string&) { return true; }};
}

Rule<std::string> word_rule(std::vector<std::string> choices) {
  const std::string listed = fmt::format("{}", fmt::join(choices, ", "));
  return {"one of " + listed, "words out of " + listed,
          [choices](const Value& value, std::string& out) { return read_word(value, choices, out); },
          [choices](const std::string& value) {
            return std::find(choices.begin(), choices.end(), value) != choices.end();
          }};
}

}  // namespace qtrain::spec
