#include "run/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;

std::string scalar_text(const Json& value) {
  if (!value.is_number_float()) return value.dump();
  const double number = value.get<double>();
  if (!std::isfinite(number)) return "null";
  return fmt::format("{}", number == 0 ? 0.0 : number);  // -0 would not read back as a number with a sign
}

bool holds_structure(const Json& value) {
  return std::any_of(value.begin(), value.end(), [](const Json& item) { return item.is_structured(); });
}

/// `indent` < 0: everything on one line.
void append(const Json& value, int indent, std::string& text) {
  if (!value.is_structured()) {
    text += scalar_text(value);
    return;
  }
  const bool object = value.is_object();
  const bool broken = indent >= 0 && !value.empty() && (object || holds_structure(value));
  const int inner = broken ? indent + 1 : -1;
  const auto new_line = [&](int depth) { text += '\n' + std::string(static_cast<std::size_t>(depth), ' '); };
  text += object ? '{' : '[';
  bool first = true;
  for (const auto& item : value.items()) {
    if (!first) text += broken ? "," : ", ";
    first = false;
    if (broken) new_line(inner);
    if (object) text += Json(item.key()).dump() + ": ";
    append(item.value(), inner, text);
  }
  if (broken) new_line(indent);
  text += object ? '}' : ']';
}

}  // namespace

std::string compact_text(const Json& value) {
  std::string text;
  append(value, -1, text);
  return text;
}

std::string indented_text(const Json& value) {
  std::string text;
  append(value, 0, text);
  return text + '\n';
}

}  // namespace qtrain::run
