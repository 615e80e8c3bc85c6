#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "run/experiment.hpp"
#include "run/run.hpp"

namespace qtrain::run {
namespace {

using Keys = std::vector<spec::KeyDoc>;

/// A choice whose values bring keys of their own.
struct Choice {
  std::string path;  ///< "train.optimizer.name"
  std::vector<std::string> values;
};

template <class Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.name);
  return names;
}

std::vector<Choice> choices() {
  return {{"dataset.name", names_of(datasets::registry())},
          {"model.name", names_of(model::registry())},
          {"quantize.weights.method", names_of(quant::weight_methods())},
          {"quantize.activations.quantizer", names_of(quant::activation_quantizers())},
          {"quantize.activations.ste", names_of(quant::stes())},
          {"quantize.gradients.method", names_of(quant::gradient_methods())},
          {"train.optimizer.name", names_of(optim::optimizers())},
          {"train.schedule.name", names_of(optim::schedules())},
          {"lab.name", names_of(labs::registry())}};
}

/// Documentation of the keys that a spec with these overrides has. Mistakes that the overrides make do not
/// matter.
Keys keys_with(const std::vector<std::string>& overrides) {
  spec::Document document = spec::Document::parse("{}", "reference", overrides);
  try {
    read_experiment(document);
  } catch (const Error&) {
  }
  return document.documentation();
}

std::string row(const spec::KeyDoc& key) {
  std::string type;
  for (const char c : key.type) {
    if (c == '|') type += '\\';
    type += c;
  }
  const std::string by_default = key.by_default.empty() ? "" : fmt::format("`{}`", key.by_default);
  return fmt::format("| `{}` | {} | {} | {} |\n", key.path, type, by_default, key.sentence);
}

std::string table(const Keys& keys) {
  std::string text = "| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const spec::KeyDoc& key : keys)
    if (key.type != "mapping") text += row(key);
  return text;
}

std::vector<std::string> overrides_for(const Choice& choice, const std::string& value) {
  std::vector<std::string> overrides = {choice.path + "=" + value};
  if (choice.path == "quantize.activations.ste")
    overrides.push_back("quantize.activations.quantizer=quantized_relu");
  return overrides;
}

bool has(const Keys& keys, const std::string& path) {
  return std::ranges::any_of(keys, [&](const spec::KeyDoc& key) { return key.path == path; });
}

/// The tables of the keys that only some values of a choice have; their paths are added to `special`.
std::string special_tables(const Choice& choice, const Keys& base, std::set<std::string>& special) {
  std::vector<Keys> keys_of_value;
  for (const std::string& value : choice.values)
    keys_of_value.push_back(keys_with(overrides_for(choice, value)));
  const std::string section = choice.path.substr(0, choice.path.rfind('.') + 1);
  const auto is_common = [&](const std::string& path) {
    return has(base, path) &&
           std::ranges::all_of(keys_of_value, [&](const Keys& keys) { return has(keys, path); });
  };
  const std::set<std::string> told = special;               // by an earlier choice
  std::vector<std::pair<std::string, std::string>> tables;  // values with equal tables share one
  for (std::size_t i = 0; i < choice.values.size(); ++i) {
    Keys own;
    for (const spec::KeyDoc& key : keys_of_value[i])
      if (key.path.starts_with(section) && !is_common(key.path) && !told.contains(key.path))
        own.push_back(key);
    if (own.empty()) continue;
    for (const spec::KeyDoc& key : own) special.insert(key.path);
    const std::string rows = table(own);
    if (!tables.empty() && tables.back().second == rows)
      tables.back().first += ", " + choice.values[i];
    else
      tables.emplace_back(choice.values[i], rows);
  }
  std::string text;
  for (const auto& [values, rows] : tables)
    text += fmt::format("\nWith `{}: {}`:\n\n{}", choice.path, values, rows);
  return text;
}

}  // namespace

std::string reference_text() {
  Keys base = keys_with({"expect.val_accuracy=0.5"});
  for (const spec::KeyDoc& key : keys_with({"lab.name=scalar"}))
    if (key.path == "lab.name") base.push_back(key);
  std::set<std::string> special;
  std::string tables;
  for (const Choice& choice : choices()) tables += special_tables(choice, base, special);
  Keys common;
  for (const spec::KeyDoc& key : base)
    if (!special.contains(key.path)) common.push_back(key);
  return table(common) +
         "| `stages` | list of mappings |  | partial specs laid over the spec, trained one after the other, "
         "each from the "
         "weights of the one before |\n" +
         tables;
}

}  // namespace qtrain::run
