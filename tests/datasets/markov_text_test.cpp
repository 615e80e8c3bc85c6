#include "datasets/markov_text.hpp"

#include <cmath>
#include <map>

#include "datasets/dataset.hpp"
#include "datasets/fixtures.hpp"

namespace qtrain::datasets {
namespace {

Loaded markov(const std::string& evaluate = "validation", const Limit& limit = {}) {
  DatasetSpec spec;
  spec.name = "markov_text";
  spec.evaluate = evaluate;
  spec.limit = limit;
  return load(spec);
}

double plogp(double p) { return p > 0 ? p * std::log(p) : 0; }

/// Of two symbols, of which each changes into the other with a probability in tenths, whatever came before.
MarkovSource two_symbols(std::uint32_t leave_0, std::uint32_t leave_1) {
  const std::uint32_t stay_0 = 10 - leave_0, stay_1 = 10 - leave_1;
  return {.symbols = 2, .weights = {stay_0, leave_0, leave_1, stay_1, stay_0, leave_0, leave_1, stay_1}};
}

// The text is part of every published number: these digests may never change.
TEST_CASE("markov_text: the text is this, on every machine") {
  CHECK(markov().dataset.sha256 == "6e253d3b9364090ebf071495269dfeba5745045de425ef17951b15cf179b8057");
  CHECK(markov("test").dataset.sha256 == "5ca1c87a32ed7584c33e703c447c8e49ab126aacc7acccf69deef671acb0af3e");
}

TEST_CASE("markov_text: sizes, and a limit gives the start of the same text") {
  const Dataset whole = markov().dataset, few = markov("validation", {.train = 300, .test = 100}).dataset;
  CHECK(whole.train_text.tokens.size() == 200000);
  CHECK(whole.test_text.tokens.size() == 20000);
  CHECK(few.train_text.tokens.size() == 300);
  CHECK(std::equal(few.train_text.tokens.begin(), few.train_text.tokens.end(),
                   whole.train_text.tokens.begin()));
  CHECK(std::equal(few.test_text.tokens.begin(), few.test_text.tokens.end(), whole.test_text.tokens.begin()));
  CHECK(few.test_text.tokens.size() == 100);
  const Dataset tested = markov("test").dataset;
  CHECK(tested.train_text.tokens == whole.train_text.tokens);
  CHECK(tested.test_text.tokens != whole.test_text.tokens);
  CHECK(
      !std::equal(few.test_text.tokens.begin(), few.test_text.tokens.end(), whole.train_text.tokens.begin()));
}

TEST_CASE("entropy rate: of sources whose rate is known in closed form") {
  const MarkovSource uniform{.symbols = 5, .weights = std::vector<std::uint32_t>(125, 3)};
  CHECK(entropy_rate(uniform) == doctest::Approx(std::log(5)).epsilon(1e-12));
  CHECK(entropy_rate(two_symbols(10, 10)) == 0);  // 0 1 0 1: the next symbol is certain
  // pi(0) = q / (p + q), and the rate is pi(0) h(p) + pi(1) h(q).
  const double p = 0.2, q = 0.7;
  const double wanted = -(q * (plogp(p) + plogp(1 - p)) + p * (plogp(q) + plogp(1 - q))) / (p + q);
  CHECK(entropy_rate(two_symbols(2, 7)) == doctest::Approx(wanted).epsilon(1e-12));
  const std::vector<double> pairs = stationary_pairs(two_symbols(2, 7));
  CHECK(pairs[0] == doctest::Approx(q / (p + q) * (1 - p)).epsilon(1e-12));
  CHECK(pairs[1] == doctest::Approx(p * q / (p + q)).epsilon(1e-12));
  // c is certainly unlike a: of pairs 00 01 11 10 in a ring.
  const MarkovSource ring{.symbols = 2, .weights = {0, 1, 0, 1, 1, 0, 1, 0}};
  CHECK(entropy_rate(ring) == 0);
  for (const double pair : stationary_pairs(ring)) CHECK(pair == doctest::Approx(0.25).epsilon(1e-12));
}

TEST_CASE("markov_text: the source has the stated rate, and its stationary pairs stay as they are") {
  const MarkovSource source = markov_text_source();
  CHECK(source.symbols == 27);
  CHECK(entropy_rate(source) == doctest::Approx(1.5436372481).epsilon(1e-9));
  const std::vector<double> pairs = stationary_pairs(source);
  double sum = 0;
  for (const double pair : pairs) sum += pair;
  CHECK(sum == doctest::Approx(1).epsilon(1e-12));
  for (int b = 0; b < 27; ++b) {
    double before = 0, after = 0;  // how often b is the second, and the first, of a pair
    for (int a = 0; a < 27; ++a) {
      before += pairs[static_cast<std::size_t>(a * 27 + b)];
      after += pairs[static_cast<std::size_t>(b * 27 + a)];
    }
    CHECK(before == doctest::Approx(after).epsilon(1e-10));
  }
}

TEST_CASE(
    "markov_text: a long text takes the rate in nats a token, and its pairs occur as often as they should") {
  const MarkovSource source = markov_text_source();
  const std::vector<double> pairs = stationary_pairs(source);
  const std::vector<std::uint16_t> text = draw_text(source, RandomStream(3, Purpose::test), 1'000'000);
  std::vector<double> counts(pairs.size());
  double surprise = 0;
  for (std::size_t i = 2; i < text.size(); ++i) {
    const std::size_t row = source.row(text[i - 2], text[i - 1]);
    double sum = 0;
    for (std::size_t c = 0; c < 27; ++c) sum += source.weights[row + c];
    surprise -= std::log(source.weights[row + text[i]] / sum);
    ++counts[row / 27];
  }
  const double n = static_cast<double>(text.size() - 2);
  CHECK(surprise / n == doctest::Approx(entropy_rate(source)).epsilon(0.005));
  double difference = 0;
  for (std::size_t pair = 0; pair < pairs.size(); ++pair)
    difference += std::abs(counts[pair] / n - pairs[pair]);
  CHECK(difference < 0.02);
}

TEST_CASE("markov_text: counts of its triples alone give the stated rates of order 0, 1 and 2") {
  const std::vector<std::uint16_t> text =
      draw_text(markov_text_source(), RandomStream(4, Purpose::test), 3'000'000);
  const auto conditional_entropy = [&](int order) {  // plug-in estimate
    std::map<std::uint32_t, double> longer, shorter;
    for (std::size_t i = 2; i < text.size(); ++i) {
      std::uint32_t key = 0;
      for (int back = order; back > 0; --back) key = key * 27 + text[i - static_cast<std::size_t>(back)];
      ++shorter[key];
      ++longer[key * 27 + text[i]];
    }
    double rate = 0;
    const double n = static_cast<double>(text.size() - 2);
    for (const auto& [key, count] : longer) rate -= count / n * std::log(count / shorter[key / 27]);
    return rate;
  };
  CHECK(conditional_entropy(0) == doctest::Approx(3.1589).epsilon(0.002));
  CHECK(conditional_entropy(1) == doctest::Approx(1.8886).epsilon(0.003));
  CHECK(conditional_entropy(2) == doctest::Approx(1.5436).epsilon(0.005));
}

}  // namespace
}  // namespace qtrain::datasets
