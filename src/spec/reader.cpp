#include "spec/reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "spec/node.hpp"

namespace qtrain::spec {
namespace {

using Json = nlohmann::ordered_json;

const Value kNotGiven{};

std::string without_article(std::string_view text) {
  for (const std::string_view article : {"a ", "an "})
    if (text.starts_with(article)) text.remove_prefix(article.size());
  return std::string(text);
}

/// A resolved value as a user would write it in YAML.
std::string as_yaml(const Json& value) {
  if (value.is_array()) {
    std::vector<std::string> items;
    for (const Json& item : value) items.push_back(as_yaml(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto plain = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-';
  };
  const bool is_word = !text.empty() && letter(text.front()) && std::all_of(text.begin(), text.end(), plain);
  const bool is_taken = text == "true" || text == "false" || text == "null";
  return is_word && !is_taken ? text : value.dump();
}

}  // namespace

std::string mapping_mistake(const Value& value) {
  if (value.kind == Value::Kind::mapping) return "";
  const std::string_view hint = value.kind == Value::Kind::empty ? " (or leave the key out)" : "";
  return fmt::format("is {}, must be a mapping{}", describe(value), hint);
}

std::string mapping_list_mistake(const Value& value) {
  if (value.kind == Value::Kind::list) return "";
  return fmt::format("is {}, must be a list of mappings", describe(value));
}

const Entry* Reader::Node::given(std::string_view name) const {
  const Entry* entry = mapping->find(name);
  const bool left_over = entry != nullptr && entry->left_over;
  return left_over && std::find(dropped.begin(), dropped.end(), name) != dropped.end() ? nullptr : entry;
}

template <class T>
bool Reader::Node::read(std::string_view name, T& value, const Rule<T>& rule, std::string_view sentence) {
  const bool has_default = rule.allows(value);
  document(name, without_article(rule.one), has_default ? as_yaml(Json(value)) : "", sentence);
  std::string complaint;
  if (const Entry* entry = given(name)) {
    complaint = rule.read(entry->value, value);
    if (!complaint.empty()) report(entry->value, name, complaint);
  }
  if (rule.allows(value)) record(name, value);
  return complaint.empty();
}

template <class T>
bool Reader::Node::read_items(const Value& list, const std::string& list_path, const Rule<T>& each,
                              std::vector<T>& out) {
  if (list.kind != Value::Kind::list) {
    recording->diagnostics->add(list.where, list_path,
                                fmt::format("is {}, must be a list of {}", describe(list), each.many));
    return false;
  }
  bool good = true;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    T item{};
    const std::string complaint = each.read(list.items[i], item);
    if (!complaint.empty()) {
      recording->diagnostics->add(list.items[i].where, join_path(list_path, std::to_string(i)), complaint);
      good = false;
    }
    out.push_back(std::move(item));
  }
  return good;
}

template <class T>
void Reader::Node::read_list(std::string_view name, std::vector<T>& values, const Rule<T>& each,
                             std::string_view sentence) {
  const auto allowed = [&] { return std::all_of(values.begin(), values.end(), each.allows); };
  const Json by_default(values);
  document(name, "list of " + each.many, allowed() ? as_yaml(by_default) : "", sentence);
  if (const Entry* entry = given(name)) {
    std::vector<T> items;
    if (read_items(entry->value, join_path(path, name), each, items)) values = std::move(items);
  }
  if (allowed()) record(name, values);
}

void Reader::Node::document(std::string_view name, std::string_view type, const std::string& by_default,
                            std::string_view sentence) {
  known.emplace_back(name);
  const std::string key = join_path(doc_path, name);
  if (!recording->documented.insert(key).second) return;
  recording->documentation.push_back({key, std::string(type), by_default, std::string(sentence)});
}

void Reader::Node::record(std::string_view name, Json value) {
  recording->resolved[at][std::string(name)] = std::move(value);
}

void Reader::Node::report(const Value& value, std::string_view name, std::string_view sentence) {
  recording->diagnostics->add(value.where, join_path(path, name), sentence);
}

std::shared_ptr<Reader::Node> Reader::Node::child(std::string_view key, std::string_view doc_key,
                                                  Json::json_pointer place) const {
  auto node = std::make_shared<Node>();
  node->recording = recording;
  node->mapping = &kNotGiven;
  node->where = where;
  node->path = join_path(path, key);
  node->doc_path = join_path(doc_path, doc_key);
  node->at = std::move(place);
  return node;
}

void Reader::Node::enter(const Value& value) {
  where = value.where;
  const std::string complaint = mapping_mistake(value);
  if (complaint.empty())
    mapping = &value;
  else
    recording->diagnostics->add(where, path, complaint);
}

void Reader::field(std::string_view name, bool& value, std::string_view sentence) {
  node_->read(name, value, truth_rule(), sentence);
}
void Reader::field(std::string_view name, int& value, const Bounds& bounds, std::string_view sentence) {
  node_->read(name, value, int_rule(bounds), sentence);
}
void Reader::field(std::string_view name, std::int64_t& value, const Bounds& bounds,
                   std::string_view sentence) {
  node_->read(name, value, int64_rule(bounds), sentence);
}
void Reader::field(std::string_view name, double& value, const Bounds& bounds, std::string_view sentence) {
  node_->read(name, value, double_rule(bounds), sentence);
}
void Reader::field(std::string_view name, std::string& value, std::string_view sentence) {
  node_->read(name, value, text_rule(), sentence);
}
void Reader::field(std::string_view name, std::vector<int>& value, const Bounds& each,
                   std::string_view sentence) {
  node_->read_list(name, value, int_rule(each), sentence);
}
void Reader::field(std::string_view name, std::vector<std::int64_t>& value, const Bounds& each,
                   std::string_view sentence) {
  node_->read_list(name, value, int64_rule(each), sentence);
}
void Reader::field(std::string_view name, std::vector<double>& value, const Bounds& each,
                   std::string_view sentence) {
  node_->read_list(name, value, double_rule(each), sentence);
}
void Reader::field(std::string_view name, std::vector<std::string>& value, std::string_view sentence) {
  node_->read_list(name, value, text_rule(), sentence);
}
void Reader::choice(std::string_view name, std::string& value, const std::vector<std::string>& words,
                    std::string_view sentence) {
  const bool known = node_->read(name, value, word_rule(words), sentence);
  if (!is_naming(name)) return;
  node_->names_unknown = node_->names_unknown || !known;
  node_->named = fmt::format(" with {} {}", name, value);
}
void Reader::choices(std::string_view name, std::vector<std::string>& value,
                     const std::vector<std::string>& words, std::string_view sentence) {
  node_->read_list(name, value, word_rule(words), sentence);
}

Reader Reader::group(std::string_view name, std::string_view sentence) {
  node_->document(name, "mapping", "", sentence);
  const std::string key(name);
  const std::shared_ptr<Node> child = node_->child(name, name, node_->at / key);
  if (!node_->recording->resolved[node_->at][key].is_object()) node_->record(name, Json::object());
  if (const Entry* entry = node_->mapping->find(name)) child->enter(entry->value);
  return Reader(child);
}

std::vector<Reader> Reader::groups(std::string_view name, std::string_view sentence) {
  node_->document(name, "list of mappings", "", sentence);
  const Entry* entry = node_->mapping->find(name);
  if (entry == nullptr) return {};
  const std::string list_mistake = mapping_list_mistake(entry->value);
  if (!list_mistake.empty()) {
    node_->report(entry->value, name, list_mistake);
    return {};
  }
  const std::vector<Value>& items = entry->value.items;
  node_->record(name, Json(items.size(), Json::object()));
  std::vector<Reader> readers;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string item = join_path(name, std::to_string(i));
    const auto child = node_->child(item, join_path(name, "N"), node_->at / std::string(name) / i);
    child->enter(items[i]);
    readers.push_back(Reader(child));
  }
  return readers;
}

bool Reader::has(std::string_view name) const {
  const Entry* entry = node_->mapping->find(name);
  return entry != nullptr && !entry->left_over;
}

bool Reader::names_unknown() const { return node_->names_unknown; }

void Reader::drop_left_over(std::initializer_list<std::string_view> names) {
  node_->dropped.insert(node_->dropped.end(), names.begin(), names.end());
}

const std::string& Reader::path() const { return node_->path; }

void Reader::mistake(std::string_view name, std::string_view sentence) {
  const Entry* entry = node_->mapping->find(name);
  const Location& where = entry == nullptr ? node_->where : entry->value.where;
  node_->recording->diagnostics->add(where, name.empty() ? node_->path : join_path(node_->path, name),
                                     sentence);
}

void Reader::ignore(std::string_view name) { node_->known.emplace_back(name); }

void Reader::finish() {
  if (node_->names_unknown) return;
  const std::vector<std::string>& known = node_->known;
  for (const Entry& entry : node_->mapping->entries) {
    if (entry.left_over || std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    const std::string meant = nearest(entry.key, known);
    std::string sentence =
        fmt::format("unknown key, known keys{} are {}", node_->named, fmt::join(known, ", "));
    if (!meant.empty()) sentence = fmt::format("unknown key, did you mean '{}'?", meant);
    if (known.empty()) sentence = "unknown key, no key is known here";
    node_->recording->diagnostics->add(entry.where, join_path(node_->path, entry.key), sentence);
  }
}

}  // namespace qtrain::spec
