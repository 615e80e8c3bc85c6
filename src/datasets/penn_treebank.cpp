// Penn Treebank (Marcus, Santorini, Marcinkiewicz, Computational Linguistics 1993), word by word, as prepared
// by Mikolov, Karafiat, Burget, Cernocky, Khudanpur, Interspeech 2010: files ptb.train.txt, ptb.valid.txt and
// ptb.test.txt, a sentence a line, words between blanks, rare ones replaced by <unk>, numbers by N.
//
//   token   a word, or <eos> at the end of each line; numbered 0 to 9,999 in the order of their first
//           appearance in the training file
//   splits  929,589 tokens to train on, 73,760 for validation, 82,430 for test
#include "datasets/penn_treebank.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "datasets/files.hpp"
#include "datasets/vocabulary.hpp"

namespace qtrain::datasets {
namespace {

constexpr std::size_t kLargestFile = 16'000'000;  ///< bytes; the training file has 5.1 million
constexpr const char* kRemedy = "fetch the data set again";

/// A word for an error sentence: its first characters, those that cannot be printed as '?'.
std::string shown(std::string_view word) {
  std::string text(word.substr(0, 30));
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text + (word.size() > 30 ? "..." : "");
}

File read_text_file(const std::filesystem::path& folder, const std::string& name) {
  File file = read_file(folder, name, kLargestFile);
  if (file.bytes.size() > kLargestFile)
    fail(ExitCode::data, "{}: the file goes on, expected {} bytes at most; {}", file.at(kLargestFile),
         kLargestFile, kRemedy);
  return file;
}

/// Calls take(word, offset) for each word and, as <eos>, each end of a line.
template <class Take>
void for_each_word(std::string_view text, const Take& take) {
  constexpr std::string_view kBlanks = " \t\r\n";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    if (end > at) take(text.substr(at, end - at), at);
    if (end < text.size() && text[end] == '\n') take("<eos>", end);
    at = end + 1;
  }
  if (!text.empty() && text.back() != '\n') take("<eos>", text.size());
}

/// The tokens of a file; its words are added to the vocabulary, or must be known.
Text read_split(const std::filesystem::path& folder, const std::string& name, int expected, bool add,
                Vocabulary& vocabulary) {
  const File file = read_text_file(folder, name);
  Text text;
  text.tokens.reserve(static_cast<std::size_t>(expected));
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
  for_each_word(bytes, [&](std::string_view word, std::size_t at) {
    const int number = add ? vocabulary.add(word) : vocabulary.find(word);
    if (number < 0 && add)
      fail(ExitCode::data, "{}: '{}' is one distinct word too many, expected {} with <eos>; {}", file.at(at),
           shown(word), vocabulary.most(), kRemedy);
    if (number < 0)
      fail(ExitCode::data, "{}: the word '{}' is not in the training file; {}", file.at(at), shown(word),
           kRemedy);
    text.tokens.push_back(static_cast<std::uint16_t>(number));
  });
  if (text.tokens.size() != static_cast<std::size_t>(expected))
    fail(ExitCode::data, "{}: {} words and ends of lines, expected {}; {}", file.path.string(),
         text.tokens.size(), expected, kRemedy);
  if (vocabulary.size() != vocabulary.most())
    fail(ExitCode::data, "{}: {} distinct words with <eos>, expected {}; {}", file.path.string(),
         vocabulary.size(), vocabulary.most(), kRemedy);
  text.vocabulary = vocabulary.size();
  return text;
}

}  // namespace

Dataset read_words(const std::filesystem::path& folder, const std::string& evaluate,
                   const WordCounts& expected) {
  const bool test = evaluate == "test";
  Vocabulary vocabulary(expected.vocabulary);
  Dataset dataset;
  dataset.train_text = read_split(folder, "ptb.train.txt", expected.train, true, vocabulary);
  dataset.test_text = read_split(folder, test ? "ptb.test.txt" : "ptb.valid.txt",
                                 test ? expected.test : expected.validation, false, vocabulary);
  return dataset;
}

Dataset load_penn_treebank(const std::filesystem::path& folder, const DatasetSpec& spec) {
  return read_words(folder, spec.evaluate,
                    {.vocabulary = 10000, .train = 929589, .validation = 73760, .test = 82430});
}

}  // namespace qtrain::datasets
