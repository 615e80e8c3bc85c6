#include "spec/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "spec/utf8.hpp"

namespace qtrain::spec {
namespace {

using Kind = Value::Kind;

/// Ends the reading of a document at a mistake that cannot be passed over.
struct Stop {
  Location where;
  std::string sentence;
};

struct Extent {
  std::size_t values = 1;
  std::size_t depth = 1;
};

void widen(Extent& extent, const Extent& child) {
  extent.values += child.values;
  extent.depth = std::max(extent.depth, child.depth + 1);
}

Extent measure(const Value& value) {
  Extent extent;
  for (const Value& item : value.items) widen(extent, measure(item));
  for (const Entry& entry : value.entries) widen(extent, measure(entry.value));
  return extent;
}

std::string non_text_mistake(char byte) {
  return fmt::format("holds the byte 0x{:02x}, must be UTF-8 text", static_cast<unsigned char>(byte));
}

/// Builds the tree from the parser's events, which, unlike its nodes, keep repeated keys and the places of
/// all keys.
class Builder final : public YAML::EventHandler {
 public:
  Builder(const Location& source, std::string_view path, Diagnostics& diagnostics)
      : source_(source), path_(path), diagnostics_(diagnostics) {
    root_.where = source;  // an empty text has no event to take it from
  }

  Location locate(const YAML::Mark& mark) const {
    if (source_.line == 0) return source_;
    return {source_.source, std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
  }

  /// Closes what a syntax error left open and gives the tree.
  Value take() {
    ended_ = true;
    while (!open_.empty()) close();
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started_) throw Stop{locate(mark), "a second document starts here, a spec must be one document"};
    started_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    attach(make(Kind::empty, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{locate(mark), "an alias stands inside of what it stands for"};
    const Extent extent = measure(found->second);
    count(extent.values, locate(mark));
    check_depth(extent.depth, locate(mark));
    attach(found->second, 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    Value value = make(Kind::scalar, mark);
    refuse_tag(tag, value.where);
    value.quoted = tag == "!";
    value.text = text;
    refuse_bytes(value);
    attach(std::move(value), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Kind::mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Value value;
    YAML::anchor_t anchor = 0;
    bool has_key = false;  ///< of a mapping: the key has come, the value has not
    bool keep = true;      ///< false: the value of a refused key, to be dropped
    std::string key;
    Location key_where;
  };

  void count(std::size_t values, const Location& where) {
    values_ += values;
    if (values_ > kMaxValues)
      throw Stop{where, fmt::format("a spec must have at most {} values", kMaxValues)};
  }

  void check_depth(std::size_t more, const Location& where) const {
    if (open_.size() + more > kMaxDepth)
      throw Stop{where, fmt::format("is nested too deep, must be at most {} levels", kMaxDepth)};
  }

  Value make(Kind kind, const YAML::Mark& mark) {
    Value value;
    value.kind = kind;
    value.where = locate(mark);
    count(1, value.where);
    return value;
  }

  void refuse_tag(const std::string& tag, const Location& where) {
    if (!tag.empty() && tag != "?" && tag != "!")
      diagnostics_.add(where, path(), fmt::format("has the tag '{}', tags must not be used", tag));
  }

  /// Escapes may make control characters, and yaml-cpp 0.7 turns "\N" and "\_" into bytes that are not UTF-8.
  void refuse_bytes(Value& value) {
    const std::size_t bad = first_non_text(value.text);
    if (bad == value.text.size()) return;
    diagnostics_.add(value.where, path(), non_text_mistake(value.text[bad]));
    value.text.resize(bad);
  }

  void open(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    Frame frame;
    frame.value = make(kind, mark);
    frame.anchor = anchor;
    refuse_tag(tag, frame.value.where);
    check_depth(1, frame.value.where);
    open_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    attach(std::move(frame.value), frame.anchor);
  }

  void attach(Value value, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = value;
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().value.kind == Kind::list) {
      open_.back().value.items.push_back(std::move(value));
    } else if (open_.back().has_key) {
      attach_to_key(open_.back(), std::move(value));
    } else {
      take_key(open_.back(), std::move(value));
    }
  }

  void attach_to_key(Frame& frame, Value value) {
    frame.has_key = false;
    if (!frame.keep) return;
    if (value.kind == Kind::empty)
      value.where = frame.key_where;  // the parser's mark is that of the next token
    frame.value.entries.push_back({std::move(frame.key), frame.key_where, std::move(value)});
  }

  void take_key(Frame& frame, Value key) {
    std::string complaint;
    if (key.kind != Kind::scalar || key.text.empty())
      complaint = fmt::format("a key is {}, must be a word", describe(key));
    else if (key.text == "<<" && !key.quoted)
      complaint = "merge keys (<<) must not be used, write the keys out";
    const std::string outer = path();
    frame.has_key = true;
    frame.key = std::move(key.text);
    frame.key_where = std::move(key.where);
    frame.keep = complaint.empty() && frame.value.find(frame.key) == nullptr;
    if (ended_) return;  // what looks like a key may be a value that the syntax error cut off
    if (!complaint.empty())
      diagnostics_.add(frame.key_where, outer, complaint);
    else if (!frame.keep)
      diagnostics_.add(frame.key_where, path(), "given twice");
  }

  /// Dotted path of the value that comes next.
  std::string path() const {
    std::string result = path_;
    for (const Frame& frame : open_) {
      if (frame.value.kind == Kind::list)
        result = join_path(result, std::to_string(frame.value.items.size()));
      else if (frame.has_key)
        result = join_path(result, frame.key);
    }
    return result;
  }

  Location source_;
  std::string path_;
  Diagnostics& diagnostics_;
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, Value> anchors_;
  std::size_t values_ = 0;
  bool started_ = false;
  bool ended_ = false;
  Value root_;
};

/// Whether the text may be given to the parser at all; reports why not.
bool readable(std::string_view text, const Location& source, std::string_view path,
              Diagnostics& diagnostics) {
  const Location start = source.line == 0 ? source : Location{source.source, 1, 1};
  if (text.size() > kMaxSpecBytes) {
    diagnostics.add(start, path, fmt::format("is too long, must be at most {} bytes", kMaxSpecBytes));
    return false;
  }
  const std::size_t bad = first_non_text(text);
  if (bad == text.size()) return true;
  const std::string_view before = text.substr(0, bad);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t column = bad - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  const Location where =
      source.line == 0 ? source : Location{source.source, static_cast<int>(line), static_cast<int>(column)};
  diagnostics.add(where, path, non_text_mistake(text[bad]));
  return false;
}

}  // namespace

bool parse_yaml(std::string_view text, const Location& source, std::string_view path,
                Diagnostics& diagnostics, Value& tree) {
  if (!readable(text, source, path, diagnostics)) return false;
  Builder builder(source, path, diagnostics);
  std::istringstream stream{std::string(text)};
  bool whole = false;
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    whole = true;
  } catch (const Stop& stop) {
    diagnostics.add(stop.where, path, stop.sentence);
  } catch (const YAML::Exception& error) {
    diagnostics.add(builder.locate(error.mark), path, fmt::format("is not valid YAML ({})", error.msg));
  }
  tree = builder.take();
  return whole;
}

}  // namespace qtrain::spec
