#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <map>

#include "run/experiment.hpp"
#include "run/json_text.hpp"

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;

/// Leaves of a JSON value as dotted paths, in order.
void flatten(const Json& value, const std::string& path, std::vector<std::pair<std::string, Json>>& leaves) {
  if (!value.is_structured() || value.empty()) {
    leaves.emplace_back(path, value);
    return;
  }
  const std::string prefix = path.empty() ? "" : path + ".";
  if (value.is_object())
    for (const auto& item : value.items()) flatten(item.value(), prefix + item.key(), leaves);
  else
    for (std::size_t i = 0; i < value.size(); ++i) flatten(value[i], prefix + std::to_string(i), leaves);
}

bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    for (std::size_t taken = 0; taken <= text.size(); ++taken)
      if (matches(pattern.substr(1), text.substr(taken))) return true;
    return false;
  }
  return !text.empty() && pattern.front() == text.front() && matches(pattern.substr(1), text.substr(1));
}

}  // namespace

Json resolved_for_seed(const ExperimentSpec& experiment, std::int64_t seed) {
  Json resolved = experiment.resolved;
  const auto set = [&](Json& spec) {
    spec["seed"] = seed;
    spec["seeds"] = Json::array();
  };
  set(resolved);
  if (resolved.contains("stages"))
    for (Json& stage : resolved["stages"]) set(stage);
  return resolved;
}

std::string spec_hash(const Json& resolved) {
  Json relevant = resolved;
  const auto strip = [](Json& spec) {
    for (const char* key : {"name", "seed", "seeds", "expect"}) spec.erase(key);
  };
  strip(relevant);
  if (relevant.contains("stages"))
    for (Json& stage : relevant["stages"]) strip(stage);
  const std::string text = compact_text(relevant);
  return fmt::format("{:016x}", XXH64(text.data(), text.size(), 0)).substr(0, 8);
}

std::vector<std::string> differing_keys(const Json& a, const Json& b) {
  std::vector<std::pair<std::string, Json>> ours, theirs;
  flatten(a, "", ours);
  flatten(b, "", theirs);
  std::vector<std::string> keys;
  const auto compare = [&keys](const auto& from, const auto& with) {
    const std::map<std::string, Json> other(with.begin(), with.end());
    for (const auto& [path, value] : from) {
      const auto found = other.find(path);
      const bool same = found != other.end() && found->second == value;
      if (!same && std::ranges::find(keys, path) == keys.end()) keys.push_back(path);
    }
  };
  compare(ours, theirs);
  compare(theirs, ours);
  return keys;
}

std::vector<bool> skipped_weights(const model::Graph& graph, const std::vector<std::string>& skip,
                                  std::vector<std::string>& unmatched) {
  const std::vector<model::Parameter> parameters = model::parameters(graph);
  using Kind = model::Parameter::Kind;
  std::vector<int> layers;  // those with weights
  for (const model::Parameter& parameter : parameters)
    if (parameter.kind == Kind::weight) layers.push_back(parameter.layer);
  std::vector<bool> skipped(parameters.size(), false);
  for (const std::string& word : skip) {
    bool found = word == "shortcuts";  // a net may have none with weights
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].kind != Kind::weight && parameters[i].kind != Kind::bias) continue;
      const std::string& layer = graph.layers[static_cast<std::size_t>(parameters[i].layer)].name;
      const bool hit = word == "first"       ? parameters[i].layer == layers.front()
                       : word == "last"      ? parameters[i].layer == layers.back()
                       : word == "shortcuts" ? matches("*.shortcut.*", layer)
                                             : matches(word, parameters[i].name) || matches(word, layer);
      if (!hit) continue;
      skipped[i] = true;
      found = true;
    }
    if (!found) unmatched.push_back(word);
  }
  return skipped;
}

bool is_named(const std::vector<std::string>& words, const engine::ParameterSlot& slot) {
  using Kind = engine::ParameterSlot::Kind;
  return std::ranges::any_of(words, [&](const std::string& word) {
    if (word == "weights") return slot.kind == Kind::weight;
    if (word == "biases") return slot.kind == Kind::bias;
    if (word == "batch_norm") return slot.kind == Kind::gamma || slot.kind == Kind::beta;
    if (word == "quantizers") return slot.kind == Kind::learned;
    return matches(word, slot.name);
  });
}

std::vector<std::string> unmatched_names(const model::Graph& graph, const std::vector<std::string>& words,
                                         std::span<const std::string_view> kinds) {
  const std::vector<model::Parameter> parameters = model::parameters(graph);
  std::vector<std::string> unmatched;
  for (const std::string& word : words) {
    if (std::ranges::find(kinds, word) != kinds.end()) continue;
    const bool found = std::ranges::any_of(
        parameters, [&](const model::Parameter& parameter) { return matches(word, parameter.name); });
    if (!found) unmatched.push_back(word);
  }
  return unmatched;
}

}  // namespace qtrain::run
