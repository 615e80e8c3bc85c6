#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernels.hpp"

/// Before a loop: what one round writes no other reads.
#ifdef __clang__
#define QTRAIN_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define QTRAIN_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace qtrain::quant {

// Loops over activations in blocks: a constant length is what g++ -O2 needs to use vector instructions. The
// functions handed in must have neither calls nor branches, so no choice but max, min and kept_if. The last
// block is filled up with zeros. A loop is compiled twice, for any CPU and for AVX2; operations and order are
// the same, and so are the bits.

inline constexpr std::size_t kBlock = 16;
using Block = std::array<float, kBlock>;

/// work(), with all that it calls compiled into it for AVX2.
template <class Work>
__attribute__((target("avx2"), flatten, noinline)) void run_in_avx2(const Work& work) {
  work();
}

/// work(), with AVX2 where the set of kernels in use has it.
template <class Work>
void run_vectorized(const Work& work) {
  kernels::active().has_avx2 ? run_in_avx2(work) : work();
}

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

/// Calls whole(start) for each whole block and rest(start) for what is left, if anything.
template <class Whole, class Rest>
void for_each_block(std::size_t size, const Whole& whole, const Rest& rest) {
  run_vectorized([&] {
    std::size_t start = 0;
    for (; start + kBlock <= size; start += kBlock) whole(start);
    if (start < size) rest(start);
  });
}

/// y[i] = result(x[i]); the spans may be the same memory.
template <class Result>
void map_blocks(std::span<const float> x, std::span<float> y, Result result) {
  const auto map = [result](const float* from, float* to) {
    QTRAIN_INDEPENDENT
    for (std::size_t i = 0; i < kBlock; ++i) to[i] = result(from[i]);
  };
  for_each_block(
      x.size(), [=](std::size_t start) { map(x.data() + start, y.data() + start); },
      [=](std::size_t start) {
        Block block = block_at(x, start);
        map(block.data(), block.data());
        put_block(block, start, y);
      });
}

/// g[i] *= derivative(x[i]); the spans must not overlap.
template <class Derivative>
void multiply_by(std::span<const float> x, std::span<float> g, Derivative derivative) {
  const auto multiply = [derivative](const float* values, float* gradients) {
    QTRAIN_INDEPENDENT
    for (std::size_t i = 0; i < kBlock; ++i) gradients[i] *= derivative(values[i]);
  };
  for_each_block(
      x.size(), [=](std::size_t start) { multiply(x.data() + start, g.data() + start); },
      [=](std::size_t start) {
        const Block values = block_at(x, start);
        Block gradients = block_at(g, start);
        multiply(values.data(), gradients.data());
        put_block(gradients, start, g);
      });
}

/// g[i] *= derivative(x[i], e^-min(|exponent(x[i])|, 88)); the spans must not overlap.
template <class Exponent, class Derivative>
void multiply_by_exponential(std::span<const float> x, std::span<float> g, Exponent exponent,
                             Derivative derivative) {
  constexpr std::size_t kPart = 16 * kBlock;
  std::array<float, kPart> powers;
  const auto multiply = [derivative](const float* values, const float* e, float* gradients) {
    QTRAIN_INDEPENDENT
    for (std::size_t i = 0; i < kBlock; ++i) gradients[i] *= derivative(values[i], e[i]);
  };
  for (std::size_t first = 0; first < x.size(); first += kPart) {
    const std::size_t size = std::min(kPart, x.size() - first);
    const std::span<const float> part = x.subspan(first, size);
    const std::span<float> gradients = g.subspan(first, size);
    map_blocks(part, std::span(powers).first(size), exponent);
    kernels::active().exp_minus(powers.data(), powers.data(), size);
    for_each_block(
        size,
        [=, &powers](std::size_t start) {
          multiply(part.data() + start, powers.data() + start, gradients.data() + start);
        },
        [=, &powers](std::size_t start) {
          const Block values = block_at(part, start), e = block_at(std::span(powers).first(size), start);
          Block rest = block_at(gradients, start);
          multiply(values.data(), e.data(), rest.data());
          put_block(rest, start, gradients);
        });
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
  const auto add = [factor, &sums](const float* values, const float* weights) {
    for (std::size_t i = 0; i < kBlock; ++i)
      sums[i] += static_cast<double>(weights[i]) * static_cast<double>(factor(values[i]));
  };
  for_each_block(
      x.size(), [=](std::size_t start) { add(x.data() + start, gy.data() + start); },
      [=](std::size_t start) { add(block_at(x, start).data(), block_at(gy, start).data()); });
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
