#include "spec/diagnostics.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "base/error.hpp"

namespace qtrain::spec {
namespace {

constexpr std::size_t kMostLines = 20;

/// One mistake is one line, whatever bytes the spec holds.
std::string without_control_characters(std::string line) {
  std::replace_if(
      line.begin(), line.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }, '?');
  return line;
}

std::string line_of(const Location& where, std::string_view path, std::string_view sentence) {
  const std::string place = where.line == 0 ? fmt::format("override '{}'", where.source)
                                            : fmt::format("{}:{}:{}", where.source, where.line, where.column);
  const std::string_view colon = path.empty() ? "" : ": ";
  return without_control_characters(fmt::format("{}: {}{}{}", place, path, colon, sentence));
}

/// Lower case, `-` as `_`: differences that a suggestion need not count.
std::string folded(std::string_view word) {
  std::string result(word);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return result;
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string
/// alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last;
  std::vector<std::size_t> last(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> row(b.size() + 1, i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substituted});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = std::move(last);
    last = std::move(row);
  }
  return last[b.size()];
}

}  // namespace

void Diagnostics::add(const Location& where, std::string_view path, std::string_view sentence) {
  std::string line = line_of(where, path, sentence);
  const bool known =
      std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.line == line; });
  if (!known) entries_.push_back({where, std::move(line)});
}

void Diagnostics::warn(const Location& where, std::string_view path, std::string_view sentence) {
  std::string line = line_of(where, path, sentence);
  if (std::count(warnings_.begin(), warnings_.end(), line) == 0) warnings_.push_back(std::move(line));
}

std::string Diagnostics::text() const {
  std::vector<const Entry*> order;
  for (const Entry& entry : entries_) order.push_back(&entry);
  const auto place = [](const Entry* entry) {
    const bool is_override = entry->where.line == 0;
    const std::string_view file = is_override ? std::string_view() : entry->where.source;
    return std::tuple(is_override, file, entry->where.line, entry->where.column);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const Entry* a, const Entry* b) { return place(a) < place(b); });
  std::vector<std::string_view> lines;
  for (const Entry* entry : order) lines.push_back(entry->line);
  const std::size_t more = lines.size() - std::min(lines.size(), kMostLines);
  lines.resize(lines.size() - more);
  return fmt::format("{}{}", fmt::join(lines, "\n"), more > 0 ? fmt::format("\nand {} more", more) : "");
}

void Diagnostics::throw_if_any() const {
  if (!empty()) fail(ExitCode::usage, "{}", text());
}

std::string nearest(std::string_view word, const std::vector<std::string>& choices) {
  const std::string sought = folded(word);
  const std::size_t limit = std::clamp<std::size_t>(word.size() / 3, 1, 3);
  std::string best;
  std::size_t best_distance = std::min(limit + 1, word.size());
  for (const std::string& choice : choices) {
    if (choice.size() > word.size() + limit || word.size() > choice.size() + limit) continue;
    const std::size_t distance = edit_distance(sought, folded(choice));
    if (distance >= best_distance) continue;
    best = choice;
    best_distance = distance;
  }
  return best;
}

}  // namespace qtrain::spec
