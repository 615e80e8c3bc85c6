#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace qtrain::kernels::reference {

/// Kernels::to_bfloat16 of one value. Adding just under half of the lower half's range, and 1 more if the
/// upper half is odd, carries into the upper half as rounding should, up to infinity.
inline unsigned short round_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return static_cast<unsigned short>(bits >> 16 | 0x40);
  return static_cast<unsigned short>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace qtrain::kernels::reference
