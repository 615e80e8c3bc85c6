// War and Peace word by word: the file of war_and_peace, prepared as Mikolov, Karafiat, Burget, Cernocky,
// Khudanpur, Interspeech 2010, prepared Penn Treebank, with a vocabulary as small as the text. It stands in
// for Penn Treebank in short runs; the preparation is ours, so its perplexities are to be compared with each
// other.
//
//   token   a word in lower case, that is letters (A to Z, and all bytes from 128) with apostrophes between
//           them; N for digits in a row; <eos> for . ! and ?, once where several follow each other, none at
//           the start. All else separates words. Words that are not in the vocabulary are <unk>
//   number  0 for <unk>, then the 3,999 tokens that occur most often in the training part, <eos> and N among
//           them, by how often; of equally many that first which occurs first
//   splits  of 598,670 tokens the first 80 % train, next 10 % validation, last 10 % test
#include "datasets/war_and_peace_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.hpp"
#include "datasets/files.hpp"
#include "datasets/vocabulary.hpp"
#include "datasets/war_and_peace.hpp"

namespace qtrain::datasets {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_end(char c) { return c == '.' || c == '!' || c == '?'; }
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 128;
}
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// One past the word that begins at `at`.
std::size_t end_of_word(std::string_view text, std::size_t at) {
  const auto goes_on = [&](std::size_t i) {
    return is_letter(text[i]) || (text[i] == '\'' && i + 1 < text.size() && is_letter(text[i + 1]));
  };
  while (at < text.size() && goes_on(at)) ++at;
  return at;
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // the byte order mark
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at++;
    if (is_letter(text[begin])) {
      at = end_of_word(text, begin);
      words.emplace_back(text.substr(begin, at - begin));
      std::ranges::transform(words.back(), words.back().begin(), lower);
    } else if (is_digit(text[begin])) {
      while (at < text.size() && is_digit(text[at])) ++at;
      words.emplace_back("N");
    } else if (is_end(text[begin]) && !words.empty() && words.back() != "<eos>") {
      words.emplace_back("<eos>");
    }
  }
  return words;
}

Text number_words(const std::vector<std::string>& words, std::size_t counted, int vocabulary) {
  struct Counted {
    std::string_view word;
    std::int64_t count = 0;
  };
  std::vector<Counted> entries;  // by first appearance
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < counted; ++i) {
    const auto [place, fresh] = places.emplace(words[i], entries.size());
    if (fresh) entries.push_back({words[i]});
    ++entries[place->second].count;
  }
  std::ranges::stable_sort(entries, std::ranges::greater{}, &Counted::count);
  Vocabulary kept(vocabulary);
  kept.add("<unk>");
  for (const Counted& entry : entries) kept.add(entry.word);  // until it is full
  Text text{.vocabulary = vocabulary, .tokens = {}};
  text.tokens.reserve(words.size());
  for (const std::string& word : words)
    text.tokens.push_back(static_cast<std::uint16_t>(std::max(kept.find(word), 0)));
  return text;
}

Dataset load_war_and_peace_words(const std::filesystem::path& folder, const DatasetSpec& spec) {
  const File file = read_file(folder, kWarAndPeaceFile, kWarAndPeaceBytes);
  file.check_size(kWarAndPeaceBytes, "one a character");
  const std::vector<std::string> words =
      split_words({reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()});
  constexpr std::size_t kWords = 598670;
  if (words.size() != kWords)
    fail(ExitCode::data, "{}: {} words and ends of sentences, expected {}; fetch the data set again",
         file.path.string(), words.size(), kWords);
  return cut_text(number_words(words, words.size() * 8 / 10, 4000), spec.evaluate);
}

}  // namespace qtrain::datasets
