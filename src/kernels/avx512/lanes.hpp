#pragma once
#include "kernels/avx512/intrinsics.hpp"

// For the sources of this folder alone. Everything has internal linkage, so no code compiled here can serve a
// caller elsewhere.

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kWidth = 16;  ///< floats of a vector

/// Mask of the first `count` of 16 lanes; of all from 16 on.
inline __mmask16 first_lanes(size_t count) {
  return static_cast<__mmask16>(count < kWidth ? (1u << count) - 1u : 0xFFFFu);
}

}  // namespace
}  // namespace qtrain::kernels::avx512
