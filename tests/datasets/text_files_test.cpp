// Texts on disk: characters (War and Peace) and words (Penn Treebank).
#include <fmt/format.h>

#include <numeric>

#include "datasets/fixtures.hpp"
#include "datasets/penn_treebank.hpp"
#include "datasets/war_and_peace.hpp"

namespace qtrain::datasets {
namespace {

using Tokens = std::vector<std::uint16_t>;

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

/// A folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt.
class WordFiles {
 public:
  WordFiles(const std::string& train, const std::string& validation, const std::string& test) {
    folder_.write("ptb.train.txt", bytes_of(train));
    folder_.write("ptb.valid.txt", bytes_of(validation));
    folder_.write("ptb.test.txt", bytes_of(test));
  }
  Dataset read(const WordCounts& expected, const std::string& evaluate = "validation") const {
    return read_words(folder_.path(), evaluate, expected);
  }
  std::string error(const WordCounts& expected, const std::string& evaluate = "validation") const {
    return data_error([&] { read(expected, evaluate); });
  }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  TemporaryFolder folder_;
};

TEST_CASE("characters: bytes are numbered in the order of their values, those that do not occur left out") {
  const TemporaryFolder folder;
  folder.write("text", {200, 'b', 0, 'a', 'b', 255, 0});
  const Text text = read_characters(folder.path(), "text", {.bytes = 7, .vocabulary = 5});
  CHECK(text.vocabulary == 5);
  CHECK(text.tokens == Tokens{3, 2, 0, 1, 2, 4, 0});
  folder.write("packed.gz", gzipped({200, 'b', 0, 'a', 'b', 255, 0}));
  CHECK(read_characters(folder.path(), "packed", {.bytes = 7, .vocabulary = 5}).tokens == text.tokens);
}

TEST_CASE("characters: files of another size or vocabulary are refused") {
  const TemporaryFolder folder;
  folder.write("text", bytes_of("abcab"));
  folder.write("empty", {});
  const auto error = [&](const std::string& name, const Characters& expected) {
    return data_error([&] { read_characters(folder.path(), name, expected); });
  };
  CHECK_CONTAINS(error("text", {6, 3}), "text: byte 5: the file ends here, expected 6 bytes");
  CHECK_CONTAINS(error("text", {4, 3}), "text: byte 4: the file goes on, expected 4 bytes");
  CHECK_CONTAINS(error("text", {5, 4}), "text: 3 distinct bytes occur, expected 4; fetch the data set again");
  CHECK_CONTAINS(error("empty", {5, 3}), "empty: byte 0: the file ends here");
  CHECK_CONTAINS(error("none", {5, 3}), "neither none nor none.gz is there");
}

TEST_CASE("characters: 80 % to train on, then 10 % for validation, then 10 % for test, no token left out") {
  for (const std::size_t size : {10, 13, 19, 100}) {
    Text text{.vocabulary = 100, .tokens = Tokens(size)};
    std::iota(text.tokens.begin(), text.tokens.end(), std::uint16_t{0});
    const Dataset validated = cut_text(text, "validation"), tested = cut_text(text, "test");
    CHECK(validated.train_text.tokens.size() == size * 8 / 10);
    CHECK(tested.train_text.tokens == validated.train_text.tokens);
    CHECK(tested.test_text.vocabulary == 100);
    Tokens all = validated.train_text.tokens;
    all.insert(all.end(), validated.test_text.tokens.begin(), validated.test_text.tokens.end());
    CHECK(all.size() == size * 9 / 10);
    all.insert(all.end(), tested.test_text.tokens.begin(), tested.test_text.tokens.end());
    CHECK(all == text.tokens);
  }
}

TEST_CASE("words: numbered by first appearance, every line ends with <eos>") {
  const WordFiles files(" the cat <unk> \n the  N\n\n", "N cat\n", "<unk>\t<unk>");
  const Dataset validated = files.read({.vocabulary = 5, .train = 8, .validation = 3});
  CHECK(validated.train_text.vocabulary == 5);
  CHECK(validated.train_text.tokens == Tokens{0, 1, 2, 3, 0, 4, 3, 3});
  CHECK(validated.test_text.tokens == Tokens{4, 1, 3});
  CHECK(validated.test_text.vocabulary == 5);
  const Dataset tested = files.read({.vocabulary = 5, .train = 8, .test = 3}, "test");
  CHECK(tested.train_text.tokens == validated.train_text.tokens);
  CHECK(tested.test_text.tokens == Tokens{2, 2, 3});  // a last line without its end is a line too
}

TEST_CASE("words: carriage returns and compression change nothing") {
  const WordFiles plain("a b\nb c\n", "c\n", "");
  const WordFiles carriage("a b\r\nb c\r\n", "c\r\n", "");
  const WordCounts counts{.vocabulary = 4, .train = 6, .validation = 2};
  const Tokens wanted = plain.read(counts).train_text.tokens;
  CHECK(carriage.read(counts).train_text.tokens == wanted);
  std::filesystem::remove(plain.folder().path() / "ptb.train.txt");
  plain.folder().write("ptb.train.txt.gz", gzipped(bytes_of("a b\nb c\n")));
  CHECK(plain.read(counts).train_text.tokens == wanted);
}

TEST_CASE("words: other counts than expected, unknown words and empty files are errors") {
  const WordFiles files("a b\nb c\n", "c d\n", "");
  const WordCounts right{.vocabulary = 4, .train = 6, .validation = 3, .test = 1};
  CHECK_CONTAINS(files.error(right), "ptb.valid.txt: byte 2: the word 'd' is not in the training file");
  CHECK_CONTAINS(files.error(right, "test"), "ptb.test.txt: 0 words and ends of lines, expected 1");
  WordCounts wrong = right;
  wrong.train = 7;
  CHECK_CONTAINS(files.error(wrong), "ptb.train.txt: 6 words and ends of lines, expected 7");
  wrong = right;
  wrong.vocabulary = 3;
  CHECK_CONTAINS(files.error(wrong), "ptb.train.txt: byte 6: 'c' is one distinct word too many, expected 3");
  wrong.vocabulary = 5;
  CHECK_CONTAINS(files.error(wrong), "ptb.train.txt: 4 distinct words with <eos>, expected 5");
  const WordFiles empty("", "a\n", "");
  CHECK_CONTAINS(empty.error(right), "ptb.train.txt: 0 words");
  std::filesystem::remove(files.folder().path() / "ptb.test.txt");
  CHECK_CONTAINS(files.error(right, "test"), "neither ptb.test.txt nor ptb.test.txt.gz is there");
}

TEST_CASE("words: an error shows the start of a long word, and nothing that cannot be printed") {
  const WordFiles files("a\n", "\x01\xff" + std::string(100, 'x') + "\n", "");
  const std::string text = files.error({.vocabulary = 2, .train = 2, .validation = 2});
  CHECK_CONTAINS(text, "the word '??" + std::string(28, 'x') + "...' is");
}

TEST_CASE("words: a file far too long is refused before it fills memory") {
  const WordFiles files("a\n", "a\n", "");
  files.folder().write("ptb.train.txt", Bytes(16'000'002, ' '));
  CHECK_CONTAINS(files.error({.vocabulary = 2, .train = 2, .validation = 2}),
                 "ptb.train.txt: byte 16000000: the file goes on, expected 16000000 bytes at most");
}

/// `lines` lines with `words` words in all, out of `vocabulary` that come in turn.
std::string made_up(int words, int lines, int vocabulary) {
  std::string text;
  for (int i = 0; i < words; ++i)
    text += fmt::format(" w{}{}", i % vocabulary, i >= words - lines ? " \n" : "");
  return text;
}

TEST_CASE("words: files with Penn Treebank's counts are found and loaded") {
  const WordFiles files(made_up(887521, 42068, 9999), made_up(70390, 3370, 9999), made_up(78669, 3761, 9999));
  DatasetSpec spec;
  spec.name = "penn_treebank";
  spec.root = files.folder().path();
  const Loaded validated = load(spec);
  CHECK(validated.dataset.train_text.vocabulary == 10000);
  CHECK(validated.dataset.train_text.tokens.size() == 929589);
  CHECK(validated.dataset.test_text.tokens.size() == 73760);
  spec.evaluate = "test";
  spec.limit = {.train = 100, .test = 0};
  const Loaded tested = load(spec);
  CHECK(tested.dataset.train_text.tokens.size() == 100);
  CHECK(tested.dataset.test_text.tokens.size() == 82430);
  CHECK(tested.dataset.sha256 != validated.dataset.sha256);
}

}  // namespace
}  // namespace qtrain::datasets
