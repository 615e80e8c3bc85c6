// A Markov source of order 2 over 27 symbols, drawn at random once and for all:
//
//   p(c | a, b) = (1 + 16 [c in L(b)] + 128 [c = f(a, b)]) / sum over c of the same
//   L(b): 3 to 8 symbols that like to follow b      f(a, b): the one of them that follows a, b most
//   entropy rate: H = - sum_ab pi(a, b) sum_c p(c | a, b) ln p(c | a, b) = 1.5436 nats a token,
//                 pi(b, c) = sum_a pi(a, b) p(c | a, b)
//
// A model of how often tokens occur reaches 3.1589 nats, one that knows one token before it 1.8886. 200,000
// tokens to train on and 20,000 each for validation and test.
#include "datasets/markov_text.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "datasets/dataset.hpp"

namespace qtrain::datasets {
namespace {

constexpr std::uint64_t kSeed = 27;
constexpr std::uint32_t kOfSource = 0, kOfTrain = 1, kOfValidation = 2, kOfTest = 3;

/// The first `count` of a random order of the symbols.
std::vector<int> draw_symbols(RandomStream& random, int symbols, std::uint32_t count) {
  std::vector<int> all(static_cast<std::size_t>(symbols));
  std::iota(all.begin(), all.end(), 0);
  for (std::uint32_t i = 0; i < count; ++i)
    std::swap(all[i], all[i + random.below(static_cast<std::uint32_t>(symbols) - i)]);
  all.resize(count);
  return all;
}

Text text_of(std::uint32_t split, int all, int limit) {
  const MarkovSource source = markov_text_source();
  const int count = limit == 0 ? all : std::min(limit, all);
  return {.vocabulary = source.symbols,
          .tokens = draw_text(source, RandomStream(kSeed, Purpose::generated_data, split), count)};
}

/// What one step makes of the probabilities of pairs.
std::vector<double> step(const MarkovSource& source, const std::vector<double>& pairs) {
  const auto n = static_cast<std::size_t>(source.symbols);
  std::vector<double> next(pairs.size());
  for (int a = 0; a < source.symbols; ++a)
    for (int b = 0; b < source.symbols; ++b) {
      const std::span weights(source.weights.data() + source.row(a, b), n);
      const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
      const double pair = pairs[static_cast<std::size_t>(a) * n + static_cast<std::size_t>(b)];
      for (std::size_t c = 0; c < n; ++c)
        next[static_cast<std::size_t>(b) * n + c] += pair * weights[c] / sum;
    }
  return next;
}

}  // namespace

MarkovSource markov_text_source() {
  MarkovSource source{.symbols = 27, .weights = std::vector<std::uint32_t>(27 * 27 * 27, 1)};
  RandomStream random(kSeed, Purpose::generated_data, kOfSource);
  for (int b = 0; b < source.symbols; ++b) {
    const std::vector<int> followers = draw_symbols(random, source.symbols, 3 + random.below(6));
    for (int a = 0; a < source.symbols; ++a) {
      std::uint32_t* weights = source.weights.data() + source.row(a, b);
      for (const int c : followers) weights[c] += 16;
      weights[followers[random.below(static_cast<std::uint32_t>(followers.size()))]] += 128;
    }
  }
  return source;
}

std::vector<std::uint16_t> draw_text(const MarkovSource& source, RandomStream random, int count) {
  std::vector<std::uint32_t> sums = source.weights;  // of the weights up to each
  const auto n = static_cast<std::ptrdiff_t>(source.symbols);
  for (auto row = sums.begin(); row != sums.end(); row += n) std::partial_sum(row, row + n, row);
  std::vector<std::uint16_t> text(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i < 2) {
      text[i] = static_cast<std::uint16_t>(random.below(static_cast<std::uint32_t>(source.symbols)));
      continue;
    }
    const std::uint32_t* row = sums.data() + source.row(text[i - 2], text[i - 1]);
    text[i] = static_cast<std::uint16_t>(std::upper_bound(row, row + n, random.below(row[n - 1])) - row);
  }
  return text;
}

std::vector<double> stationary_pairs(const MarkovSource& source) {
  const auto n = static_cast<std::size_t>(source.symbols);
  std::vector<double> pairs(n * n, 1.0 / static_cast<double>(n * n));
  for (double change = 1; change > 1e-15;) {
    const std::vector<double> next = step(source, pairs);
    change = 0;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      const double half = (pairs[i] + next[i]) / 2;
      change = std::max(change, std::abs(half - pairs[i]));
      pairs[i] = half;
    }
  }
  return pairs;
}

double entropy_rate(const MarkovSource& source) {
  const auto n = static_cast<std::size_t>(source.symbols);
  const std::vector<double> pairs = stationary_pairs(source);
  double rate = 0;
  for (std::size_t pair = 0; pair < pairs.size(); ++pair) {
    const std::span weights(source.weights.data() + pair * n, n);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const std::uint32_t weight : weights)
      if (weight > 0) rate -= pairs[pair] * (weight / sum) * std::log(weight / sum);
  }
  return rate;
}

Dataset load_markov_text(const std::filesystem::path&, const DatasetSpec& spec) {
  Dataset dataset;
  dataset.train_text = text_of(kOfTrain, 200000, spec.limit.train);
  dataset.test_text = text_of(spec.evaluate == "test" ? kOfTest : kOfValidation, 20000, spec.limit.test);
  return dataset;
}

}  // namespace qtrain::datasets
