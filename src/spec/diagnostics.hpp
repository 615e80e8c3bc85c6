#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace qtrain::spec {

/// Where a value stands: a file's line and column counted from 1, or (line 0) a command-line override, whose
/// text `source` then is.
struct Location {
  std::string source;
  int line = 0;
  int column = 0;
};

/// Collects every mistake of a spec, so that all are reported at once, and what to warn of.
class Diagnostics {
 public:
  /// `path` is the dotted key ("quantize.weights.bits"), `sentence` what is and what must be.
  void add(const Location& where, std::string_view path, std::string_view sentence);
  /// The same for what is no mistake, but may not be what was meant.
  void warn(const Location& where, std::string_view path, std::string_view sentence);
  bool empty() const { return entries_.empty(); }  ///< of mistakes
  /// One line a mistake, in order of place: `file:line:column: path: sentence`; for an override
  /// `override 'a.b=c': path: sentence`. The first 20, then how many more there are.
  std::string text() const;
  /// The lines of what to warn of, which look like those of mistakes.
  const std::vector<std::string>& warnings() const { return warnings_; }
  /// Throws an Error (usage) with text() unless empty.
  void throw_if_any() const;

 private:
  struct Entry {
    Location where;
    std::string line;
  };
  std::vector<Entry> entries_;
  std::vector<std::string> warnings_;
};

/// The nearest of `choices` to `word` by edit distance if near enough to be meant, else "".
std::string nearest(std::string_view word, const std::vector<std::string>& choices);

}  // namespace qtrain::spec
