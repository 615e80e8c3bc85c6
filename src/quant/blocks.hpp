#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernels.hpp"

namespace qtrain::quant {

// Loops over activations in blocks: a constant length is what g++ -O2 needs to use vector instructions. The
// functions handed in must have neither calls nor branches, so no choice but max, min and kept_if. The last
// block is filled up with zeros.

inline constexpr std::size_t kBlock = 16;
using Block = std::array<float, kBlock>;

inline Block block_at(std::span<const float> x, std::size_t start) {
  Block block;
  if (start + kBlock <= x.size()) {
    std::copy_n(x.data() + start, kBlock, block.data());
  } else {
    block.fill(0);
    std::ranges::copy(x.subspan(start), block.begin());
  }
  return block;
}

inline void put_block(const Block& block, std::size_t start, std::span<float> x) {
  if (start + kBlock <= x.size())
    std::copy_n(block.data(), kBlock, x.data() + start);
  else
    std::copy_n(block.data(), x.size() - start, x.data() + start);
}

/// y[i] = result(x[i]); the spans may be the same memory.
template <class Result>
void map_blocks(std::span<const float> x, std::span<float> y, Result result) {
  for (std::size_t start = 0; start < x.size(); start += kBlock) {
    Block block = block_at(x, start);
    for (float& value : block) value = result(value);
    put_block(block, start, y);
  }
}

/// g[i] *= derivative(x[i]); the spans must not overlap.
template <class Derivative>
void multiply_by(std::span<const float> x, std::span<float> g, Derivative derivative) {
  const auto whole = [derivative](const float* __restrict values, float* __restrict gradients) {
    for (std::size_t i = 0; i < kBlock; ++i) gradients[i] *= derivative(values[i]);
  };
  std::size_t start = 0;
  for (; start + kBlock <= x.size(); start += kBlock) whole(x.data() + start, g.data() + start);
  if (start == x.size()) return;
  const Block values = block_at(x, start);
  Block gradients = block_at(g, start);
  whole(values.data(), gradients.data());
  put_block(gradients, start, g);
}

/// g[i] *= derivative(x[i], e^-min(|exponent(x[i])|, 88)); the spans must not overlap.
template <class Exponent, class Derivative>
void multiply_by_exponential(std::span<const float> x, std::span<float> g, Exponent exponent,
                             Derivative derivative) {
  constexpr std::size_t kPart = 16 * kBlock;
  std::array<float, kPart> powers;
  for (std::size_t start = 0; start < x.size(); start += kPart) {
    const std::size_t size = std::min(kPart, x.size() - start);
    const std::span<const float> part = x.subspan(start, size);
    map_blocks(part, std::span(powers).first(size), exponent);
    kernels::active().exp_minus(powers.data(), powers.data(), size);
    for (std::size_t first = 0; first < size; first += kBlock) {
      const Block values = block_at(part, first);
      const Block e = block_at(std::span<const float>(powers).first(size), first);
      Block gradients = block_at(g.subspan(start, size), first);
      for (std::size_t i = 0; i < kBlock; ++i) gradients[i] *= derivative(values[i], e[i]);
      put_block(gradients, first, g.subspan(start, size));
    }
  }
}

/// g[i] *= slope; no pass over memory for slope 1.
inline void multiply_by_slope(float slope, std::span<float> g) {
  if (slope != 1) map_blocks(g, g, [slope](float value) { return value * slope; });
}

/// Sum over i of gy[i] * factor(x[i]), in double: sixteen sums, sum k over i = k mod 16, added in turn.
template <class Factor>
double sum_products(std::span<const float> x, std::span<const float> gy, Factor factor) {
  std::array<double, kBlock> sums{};
  for (std::size_t start = 0; start < x.size(); start += kBlock) {
    Block factors = block_at(x, start);
    const Block weights = block_at(gy, start);
    for (float& value : factors) value = factor(value);
    for (std::size_t i = 0; i < kBlock; ++i)
      sums[i] += static_cast<double>(weights[i]) * static_cast<double>(factors[i]);
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

/// value if `keep`, else 0, without a branch: only the bits are masked, so value may be infinite or NaN.
inline float kept_if(bool keep, float value) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & (0U - static_cast<std::uint32_t>(keep)));
}

/// t cut to [0, top]; NaN becomes 0.
inline float clamped(float t, float top) {
  const float above = t > 0.0F ? t : 0.0F;
  return above < top ? above : top;
}

/// The integer nearest to t, half way between two the even one, for 0 <= t < 2^22.
inline float nearest_integer(float t) {
  constexpr float kShift = 0x1p23F;  // the floats between it and twice it are the integers
  return (t + kShift) - kShift;
}

/// The integer in [0, top] nearest to t; top < 2^22.
inline float nearest_code(float t, float top) { return nearest_integer(clamped(t, top)); }

}  // namespace qtrain::quant
