// War and Peace word by word: what a word is, and which words have numbers.
#include "datasets/war_and_peace_words.hpp"

#include "base/random.hpp"
#include "datasets/fixtures.hpp"

namespace qtrain::datasets {
namespace {

using Tokens = std::vector<std::uint16_t>;
using Words = std::vector<std::string>;

TEST_CASE("words of a novel: letters with apostrophes between them, in lower case") {
  CHECK(split_words("Don't SAY 'so', o'er'tis--dogs' x") ==
        Words{"don't", "say", "so", "o'er'tis", "dogs", "x"});
  CHECK(split_words("t\xc3\xaate-\xc3\xa0-t\xc3\xaate") == Words{"t\xc3\xaate", "\xc3\xa0", "t\xc3\xaate"});
  CHECK(split_words("\xef\xbb\xbf\"Well") == Words{"well"});  // a byte order mark is no letter
}

TEST_CASE("words of a novel: digits are N, ends of sentences <eos>, once and never first") {
  CHECK(split_words("... July, 1805! Why?! \"No.\" 3rd 1,000") ==
        Words{"july", "N", "<eos>", "why", "<eos>", "no", "<eos>", "N", "rd", "N", "N"});
  CHECK(split_words("").empty());
  CHECK(split_words(".'-").empty());
}

TEST_CASE("words of a novel: numbered by how often they are in the first part, then by first appearance") {
  const Words words = {"c", "a", "b", "a", "b", "d", "d", "d", "d", "a"};
  CHECK(number_words(words, 5, 3).tokens == Tokens{0, 1, 2, 1, 2, 0, 0, 0, 0, 1});
  CHECK(number_words(words, 10, 3).tokens == Tokens{0, 2, 0, 2, 0, 1, 1, 1, 1, 2});
  const Text all = number_words(words, 5, 9);  // fewer words than numbers: each known one has its own
  CHECK(all.vocabulary == 9);
  CHECK(all.tokens == Tokens{3, 1, 2, 1, 2, 0, 0, 0, 0, 1});
}

TEST_CASE("words of a novel: any bytes are split into words without blanks or capitals") {
  for (std::uint32_t round = 0; round < 200; ++round) {
    RandomStream random(9, Purpose::test, round);
    std::string text(random.below(200), ' ');
    for (char& c : text) c = static_cast<char>(random.bits());
    for (const std::string& word : split_words(text)) {
      REQUIRE(!word.empty());
      REQUIRE((word == "N" || word.find_first_of("ABCNZ \n.!?0123456789-") == std::string::npos));
    }
  }
}

}  // namespace
}  // namespace qtrain::datasets
