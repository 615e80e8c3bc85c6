#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.hpp"

namespace qtrain::datasets {

/// A Markov source of order 2: symbol c follows a, b with probability
///   p(c | a, b) = weight(a, b, c) / sum over c of weight(a, b, c)
struct MarkovSource {
  int symbols = 0;
  std::vector<std::uint32_t> weights;  ///< [a][b][c], of each a, b not all 0, their sum below 2^32

  /// Where the weights [c] of what follows a, b begin.
  std::size_t row(int a, int b) const {
    const auto n = static_cast<std::size_t>(symbols);
    return (static_cast<std::size_t>(a) * n + static_cast<std::size_t>(b)) * n;
  }
};

/// The source of the data set markov_text.
MarkovSource markov_text_source();

/// `count` symbols; the first two are uniform.
std::vector<std::uint16_t> draw_text(const MarkovSource& source, RandomStream random, int count);

/// Probabilities pi [a][b] of each pair of neighbours in a long text:
///   pi(b, c) = sum over a of pi(a, b) p(c | a, b)
/// by iterating pi <- (pi + that) / 2 from uniform until no pi changes by more than 1e-15. There must be one
/// such pi only: every pair leads to some pair in the end.
std::vector<double> stationary_pairs(const MarkovSource& source);

/// H = - sum over a, b of pi(a, b) sum over c of p(c | a, b) ln p(c | a, b), in nats a symbol: the least mean
/// cross-entropy that a model of such a text can have in the long run.
double entropy_rate(const MarkovSource& source);

}  // namespace qtrain::datasets
