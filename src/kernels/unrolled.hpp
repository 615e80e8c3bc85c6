#pragma once
#include <stddef.h>

// For sources built for one instruction set alone: internal linkage, see kernel_set.hpp.

namespace qtrain::kernels {
namespace {

template <size_t kIndex>
struct Index {
  static constexpr size_t value = kIndex;
};

/// body(Index<0>()), ..., body(Index<kCount - 1>()): with indices that are constants an array stays in
/// registers.
template <size_t kCount, class Body>
[[gnu::always_inline]] inline void for_each_index(const Body& body) {
  if constexpr (kCount > 0) {
    for_each_index<kCount - 1>(body);
    body(Index<kCount - 1>{});
  }
}

}  // namespace
}  // namespace qtrain::kernels
