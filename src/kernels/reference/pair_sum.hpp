#pragma once
#include <bit>
#include <cmath>

namespace qtrain::kernels::reference {

inline float flushed(float x) { return std::abs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
inline float left_of(unsigned pair) { return flushed(std::bit_cast<float>(pair << 16)); }
inline float right_of(unsigned pair) { return flushed(std::bit_cast<float>(pair & 0xFFFF0000)); }

/// sum + x * y, rounded once. A product of two bfloat16 is a float unless it is too small or too large for
/// one, and always a double, which has more than twice a float's digits: rounding the sum to it first changes
/// nothing.
inline float plus(float sum, float x, float y) {
  const float product = x * y, magnitude = std::abs(product);
  if ((magnitude > 0x1p-100f && magnitude < 0x1p100f) || (product == 0 && (x == 0 || y == 0)))
    return sum + product;
  return flushed(
      static_cast<float>(static_cast<double>(sum) + static_cast<double>(x) * static_cast<double>(y)));
}

}  // namespace qtrain::kernels::reference
