#include <doctest/doctest.h>

#include <string>

#include "sample.hpp"

namespace qtrain::spec {
namespace {

std::string repeated(std::string_view part, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += part;
  return result;
}

}  // namespace

TEST_CASE("yaml: the first of repeated keys counts, each further one is a mistake") {
  const Outcome outcome = read_sample("seed: 1\nseed: 2\n\nseed: 3\nweights: {bits: 1, bits: 2}");
  CHECK(outcome.mistakes ==
        "bad.yaml:2:1: seed: given twice\n"
        "bad.yaml:4:1: seed: given twice\n"
        "bad.yaml:5:20: weights.bits: given twice");
  CHECK(outcome.sample.seed == 1);
  CHECK(mistakes_of("notes: [a, {b: 1, b: 2}]") ==
        "bad.yaml:1:12: notes.1: is a mapping, must be a string\n"
        "bad.yaml:1:19: notes.1.b: given twice");
}

TEST_CASE("yaml: syntax errors are located and what came before is still checked") {
  CHECK(mistakes_of("seed: -1\nname: [a\n") ==
        "bad.yaml:1:7: seed: is -1, must be an integer >= 0\n"
        "bad.yaml:2:7: name: is a list, must be a string\n"
        "bad.yaml:3:1: is not valid YAML (end of sequence flow not found)");
  CHECK(mistakes_of("seed: 1\nname: a: b\n") == "bad.yaml:2:8: is not valid YAML (illegal map value)");
  CHECK(mistakes_of("name: 'b") == "bad.yaml:1:9: is not valid YAML (illegal EOF in scalar)");
  CHECK(mistakes_of("seed: *x") == "bad.yaml:1:7: is not valid YAML (the referenced anchor is not defined)");
  CHECK(mistakes_of("seed: 1", {"train=[1"}) ==
        "override 'train=[1': train: is not valid YAML (end of sequence flow not found)");
}

TEST_CASE("yaml: a spec is one mapping") {
  CHECK(mistakes_of("[1, 2]") == "bad.yaml:1:1: is a list, must be a mapping");
  CHECK(mistakes_of("\n  word") == "bad.yaml:2:3: is 'word', must be a mapping");
  CHECK(mistakes_of("seed: 1\n---\nseed: 2\n").find("a second document starts here") != std::string::npos);
  CHECK(read_sample("[1]", {"seed=3"}).sample.seed == 3);
}

TEST_CASE("yaml: keys are words") {
  CHECK(mistakes_of("? [a, b]\n: 1\n") == "bad.yaml:1:3: a key is a list, must be a word");
  CHECK(mistakes_of("train: {{a: 1}: 2}") == "bad.yaml:1:9: train: a key is a mapping, must be a word");
  CHECK(mistakes_of("'': 1") == "bad.yaml:1:1: a key is '', must be a word");
  CHECK(mistakes_of("~: 1") == "bad.yaml:1:1: a key is empty, must be a word");
}

TEST_CASE("yaml: aliases stand for their anchors, merge keys and tags are refused") {
  const Outcome outcome = read_sample("train: {milestones: &m [3, 4], factors: *m}\nname: &n 7\nseed: *n\n");
  CHECK(outcome.mistakes == "");
  CHECK(outcome.sample.factors == std::vector<double>{3, 4});
  CHECK(outcome.sample.seed == 7);
  CHECK(mistakes_of("weights: &w {bits: 3}\ntrain:\n  <<: *w\n") ==
        "bad.yaml:3:3: train: merge keys (<<) must not be used, write the keys out");
  CHECK(mistakes_of("seed: !!int 3") ==
        "bad.yaml:1:7: seed: has the tag 'tag:yaml.org,2002:int', tags must not be used");
  CHECK(mistakes_of("name: &a [*a]").find("an alias stands inside of what it stands for") !=
        std::string::npos);
}

TEST_CASE("yaml: bytes that are no text are located") {
  CHECK(mistakes_of("seed: 1\nname: a\xff") == "bad.yaml:2:8: holds the byte 0xff, must be UTF-8 text");
  CHECK(mistakes_of(std::string_view("a\0b", 3)) == "bad.yaml:1:2: holds the byte 0x00, must be UTF-8 text");
  CHECK(mistakes_of("name: \"a\\N\"") == "bad.yaml:1:7: name: holds the byte 0x85, must be UTF-8 text");
  CHECK(mistakes_of("name: \"a\\0\"") == "bad.yaml:1:7: name: holds the byte 0x00, must be UTF-8 text");
  CHECK(mistakes_of("\x04") == "bad.yaml:1:1: holds the byte 0x04, must be UTF-8 text");
  for (const char* bad :
       {"\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe2\x82", "\xf5"})
    CHECK(mistakes_of("name: " + std::string(bad)).find("must be UTF-8 text") != std::string::npos);
  CHECK(mistakes_of("\xef\xbb\xbfname: \xe2\x82\xac\xf0\x9f\x98\x80 # \xc3\xa9\r\nseed: 2\r\n") == "");
}

TEST_CASE("yaml: documents without measure are refused, not suffered") {
  for (const char* part : {"[", "{a: ", "{", "[a, ", "? ", "- ", "&a [", "{? "}) {
    const std::string mistakes = mistakes_of(repeated(part, 20'000));
    CHECK_MESSAGE(mistakes != "", part);
  }
  CHECK(mistakes_of("name: " + repeated("[", 70)).find("is nested too deep, must be at most 64 levels") !=
        std::string::npos);
  CHECK(mistakes_of(repeated(" ", 1 << 20) + "a") ==
        "bad.yaml:1:1: is too long, must be at most 1048576 bytes");
  CHECK(mistakes_of(repeated(" ", (1 << 20) - 4) + "a: 1") != "");
  CHECK(mistakes_of(repeated(" ", 1 << 20)) == "bad.yaml:1:1: is empty, must be a mapping");
  std::string bomb = "notes:\n  - &a0 [x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = "*a" + std::to_string(i - 1) + ", ";
    bomb += "  - &a" + std::to_string(i) + " [" + repeated(last, 7) + "x]\n";
  }
  CHECK(mistakes_of(bomb).find("a spec must have at most 10000 values") != std::string::npos);
  std::string tower = "notes:\n  - &a0 " + repeated("[", 40) + repeated("]", 40) + "\n";
  tower += "  - " + repeated("[", 40) + "*a0" + repeated("]", 40) + "\n";
  CHECK(mistakes_of(tower).find("is nested too deep") != std::string::npos);
  const std::string wide = "notes:\n" + repeated("- x\n", 12'000);
  CHECK(mistakes_of(wide).find("a spec must have at most 10000 values") != std::string::npos);
  CHECK(mistakes_of("{}", {repeated("a.", 20'000) + "a=1"}).find("is malformed") != std::string::npos);
}

}  // namespace qtrain::spec
