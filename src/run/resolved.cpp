#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <map>

#include "run/experiment.hpp"
#include "run/json_text.hpp"
#include "spec/value.hpp"

namespace qtrain::run {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kListedKeys = 8;

/// Leaves of a JSON value as dotted paths, in order; a list of plain values is one, an empty mapping none.
void flatten(const Json& value, const std::string& path, std::vector<std::pair<std::string, Json>>& leaves) {
  const bool branches =
      value.is_object() || std::ranges::any_of(value, [](const Json& item) { return item.is_structured(); });
  if (!branches) {
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

/// Whether a mapping names another method, or whatever else, than the one it is laid over: it replaces that.
bool names_another(const Json& base, const Json& over) {
  for (const auto& item : over.items())
    if (spec::is_naming(item.key()) && base.value(item.key(), Json()) != item.value()) return true;
  return false;
}

/// What must be laid over `base`, as spec::merge does it, to give `stage`.
Json changes(const Json& base, const Json& stage) {
  Json changed = Json::object();
  for (const auto& item : stage.items()) {
    const Json& value = item.value();
    const auto before = base.find(item.key());
    const bool merges =
        before != base.end() && before->is_object() && value.is_object() && !names_another(*before, value);
    if (merges) {
      Json part = changes(*before, value);
      if (!part.empty()) changed[item.key()] = std::move(part);
    } else if (before == base.end() || *before != value) {
      changed[item.key()] = value;
    }
  }
  return changed;
}

/// For a comparison of two specs: stages as changes, or their number alone where that is another.
void make_comparable(Json& a, Json& b) {
  const auto count = [](const Json& spec) { return spec.contains("stages") ? spec["stages"].size() : 0; };
  const bool same = count(a) == count(b);
  for (Json* spec : {&a, &b}) {
    *spec = stages_as_changes(*spec);
    if (!same && spec->contains("stages")) (*spec)["stages"] = (*spec)["stages"].size();
  }
}

}  // namespace

Json stages_as_changes(Json resolved) {
  if (!resolved.contains("stages")) return resolved;
  for (Json& stage : resolved["stages"])
    if (stage.is_object()) stage = changes(resolved, stage);
  return resolved;
}

Json resolved_for_seed(const ExperimentSpec& experiment, std::int64_t seed) {
  Json resolved = stages_as_changes(experiment.resolved);  // none of which has a seed
  resolved["seed"] = seed;
  resolved["seeds"] = Json::array();
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

std::vector<std::string> differing_keys(Json a, Json b) {
  make_comparable(a, b);
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

std::string listed_keys(const std::vector<std::string>& keys) {
  const std::size_t shown = std::min(keys.size(), kListedKeys);
  const std::string text = fmt::format("{}", fmt::join(std::span(keys).first(shown), ", "));
  return shown < keys.size() ? fmt::format("{} and {} more", text, keys.size() - shown) : text;
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
