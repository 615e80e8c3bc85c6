#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/dataset.hpp"
#include "labs/lab.hpp"
#include "model/graph.hpp"
#include "optim/optimizer.hpp"
#include "quant/activation.hpp"
#include "quant/gradient.hpp"
#include "quant/weight_method.hpp"
#include "run/headers.hpp"
#include "run/run.hpp"

namespace qtrain::run {
namespace {

struct Group {
  std::string name;
  std::vector<std::string> methods;
};

template <class Table>
Group group(const char* name, const Table& table) {
  Group result{name, {}};
  for (const auto& entry : table) result.methods.emplace_back(entry.name);
  return result;
}

std::vector<Group> groups() {
  return {group("weights", quant::weight_methods()),
          group("activations", quant::activation_quantizers()),
          group("ste", quant::stes()),
          group("gradients", quant::gradient_methods()),
          group("models", model::registry()),
          group("datasets", datasets::registry()),
          group("optimizers", optim::optimizers()),
          group("schedules", optim::schedules()),
          group("labs", labs::registry())};
}

std::string indented(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    result += fmt::format("{}{}\n", line.empty() ? "" : "    ", line);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return result;
}

std::string method_text(const Group& group, const std::string& method) {
  const datasets::Entry* dataset = group.name == "datasets" ? datasets::find(method) : nullptr;
  const std::string_view sentence = dataset == nullptr ? "" : dataset->sentence;
  return fmt::format("  {}\n{}{}\n", method, indented(header_of(group.name, method)), indented(sentence));
}

}  // namespace

std::vector<std::string> list_groups() {
  std::vector<std::string> names;
  for (const Group& each : groups()) names.push_back(each.name);
  return names;
}

std::string list_text(const std::string& wanted) {
  std::string text;
  for (const Group& each : groups()) {
    if (!wanted.empty() && each.name != wanted) continue;
    text += fmt::format("{}\n\n", each.name);
    for (const std::string& method : each.methods) text += method_text(each, method);
  }
  return text;
}

}  // namespace qtrain::run
