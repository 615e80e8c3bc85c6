#pragma once
#include <cstddef>
#include <vector>

namespace qtrain::engine {

/// A tensor's size and the steps (inclusive) between which it must keep its bytes.
struct Life {
  std::size_t bytes = 0;
  int first = 0;
  int last = 0;
};

/// Offsets into one arena such that tensors alive at the same step never overlap: largest first, each into
/// the lowest gap that fits; every offset is a multiple of 64.
struct ArenaPlan {
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;
};
ArenaPlan plan_arena(const std::vector<Life>& lives);

}  // namespace qtrain::engine
