#include <doctest/doctest.h>

#include <random>
#include <string>

#include "base/error.hpp"
#include "sample.hpp"

namespace qtrain::spec {
namespace {

constexpr std::string_view kGood = R"(# a good spec
name: "resnet20 \u00e9"
seed: &s 1
samples: 5000
notes: [one, 'two', *s]
train:
  flip: true
  rate: 1.0e-2
  momentum: 0.9
  milestones: [80, 140]
  factors:
    - 0.1
    - -.5
weights: {method: prox_quant, bits: 3, lambda: 1e-4, skip: [first, last]}
stages:
  - weights: {bits: 2}
  - {train: {rate: 0.5}, weights: {method: none}}
)";

std::string mutated(std::mt19937& random) {
  constexpr std::string_view kSpice = "{}[]:,-?&*#'\"\\!|>%@`\n\t ~<.e0+\x04\x80\xff";
  std::string text(kGood);
  const auto below = [&](std::size_t n) { return random() % n; };
  for (std::size_t edits = 1 + below(6); edits > 0 && !text.empty(); --edits) {
    const std::size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text[at] = kSpice[below(kSpice.size())];
        break;
      case 2:
        text.insert(at, 1, kSpice[below(kSpice.size())]);
        break;
      case 3:
        text.erase(at, 1 + below(12));
        break;
      default:
        text.insert(at, text.substr(below(text.size()), below(40)));
    }
  }
  return text;
}

/// Reads the spec and its stages; what is accepted must survive its own resolved form.
void try_spec(const std::string& text, const std::vector<std::string>& overrides) {
  Document document = Document::parse(text, "f.yaml", overrides);
  Sample sample;
  sample.read(document.root());
  const bool good = document.diagnostics().empty();
  const std::string resolved = document.resolved().dump();
  for (std::size_t i = 0; i < document.list_size("stages"); ++i)
    Sample().read(document.merged("stages", i).root());
  REQUIRE(document.diagnostics().text().find('\0') == std::string::npos);
  if (!good) return;
  const Outcome again = read_sample(resolved);
  REQUIRE_MESSAGE(again.mistakes == "", text);
  REQUIRE_MESSAGE(again.resolved.dump() == resolved, text);
}

}  // namespace

TEST_CASE("fuzz: the unchanged spec is good") { CHECK(mistakes_of(kGood) == ""); }

TEST_CASE("fuzz: a damaged spec is read or refused, never more") {
  std::mt19937 random(20240229);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = mutated(random);
    CAPTURE(text);
    REQUIRE_NOTHROW(try_spec(text, {}));
  }
}

TEST_CASE("fuzz: a damaged override is read or refused, never more") {
  std::mt19937 random(20240301);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = mutated(random);
    const std::string word = "train.rate=" + text.substr(random() % text.size(), random() % 30);
    const std::string path = text.substr(random() % text.size(), random() % 12) + "=1";
    CAPTURE(word);
    CAPTURE(path);
    REQUIRE_NOTHROW(try_spec(std::string(kGood), {word, path}));
  }
}

}  // namespace qtrain::spec
