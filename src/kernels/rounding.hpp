#pragma once
#include "kernels/vector_loops.hpp"

namespace qtrain::kernels {
namespace {

/// As reference::round_bfloat16, before the upper half is taken.
inline Integers rounded(Vector v) {
  const Integers odd = shifted_right<16>(bits(v)) & all_integers(1);
  const Integers sum = bits(v) + (odd + all_integers(0x7FFF));
  return chosen(is_nan(v), bits(v) | all_integers(0x400000), sum);
}

}  // namespace
}  // namespace qtrain::kernels
