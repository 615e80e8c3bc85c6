#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

namespace qtrain::kernels::reference {

// The exponential of the kernel exp_minus: without calls or branches (not even a choice between floats, of
// which g++ makes one), so that a loop of constant length becomes vector instructions at -O2.

inline constexpr float kMostExponent = 88;

/// |t|, or kMostExponent if that is less, or t is NaN; by its bits, as floats > 0 are ordered as these are.
inline float cut_exponent(float t) {
  return std::bit_cast<float>(
      std::min(std::bit_cast<std::int32_t>(t) & 0x7FFFFFFF, std::bit_cast<std::int32_t>(kMostExponent)));
}

/// e^-t for 0 <= t <= kMostExponent, as cut_exponent gives it: to a relative error of 2e-7 up to t = 87, 0
/// for 88, between them one or the other.
///
///   -t = n ln 2 - r, n an integer, |r| <= ln(2) / 2;   e^-t = 2^n (1 - r + r^2 (c0 + c1 r + ... + c4 r^4))
///
/// The c are those of least largest relative error, 4e-9; the rest is rounding. ln 2 is split in two so that
/// n times its first part is exact.
inline float fast_exp_minus(float t) {
  constexpr float kShift = 0x1.8p23F;  // less a number, an integer, which the lowest bits then hold
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  const float shifted = kShift - t * 1.44269504F;
  const float n = shifted - kShift;
  const float r = (t + n * kLn2High) + n * kLn2Low;
  const float square = r * r;  // three short sums, for the processor to work on at once
  const float high_part = (0x1.5558f4p-5F - r * 0x1.123a6cp-7F) + square * 0x1.6a2352p-10F;
  const float series = (0x1.fffffcp-2F - r * 0x1.55549p-3F) + square * high_part;
  // 2^n by its exponent bits; those of n = -127, for t about 87.7 and above, are all 0.
  const float power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127U) << 23U);
  return (1.0F - (r - square * series)) * power;
}

}  // namespace qtrain::kernels::reference
