#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/reference/ceil_code.hpp"
#include "kernels/reference/fast_exp.hpp"
#include "kernels/reference/round_bfloat16.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

void add(const float* x1, const float* x2, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = x1[i] + x2[i];
}

void relu(const float* x, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void ceil_codes(const float* x, float step, float top, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = ceil_code(x[i], step, top);
}

void window(const float* x, float low, float high, float* g, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) g[i] = low < x[i] && x[i] <= high ? g[i] : 0.0f;
}

void sign(const float* x, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = x[i] < 0.0f ? -1.0f : 1.0f;
}

void exp_minus(const float* x, float* y, std::size_t size) {
  constexpr std::size_t kBlock = 16;
  std::size_t start = 0;
  for (; start + kBlock <= size; start += kBlock)
    for (std::size_t i = start; i < start + kBlock; ++i) y[i] = fast_exp_minus(cut_exponent(x[i]));
  for (std::size_t i = start; i < size; ++i) y[i] = fast_exp_minus(cut_exponent(x[i]));
}

void to_bytes(const float* x, unsigned char* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = static_cast<unsigned char>(static_cast<int>(x[i]));
}

void from_unsigned_bytes(const unsigned char* x, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = static_cast<float>(x[i]);
}

void from_signed_bytes(const unsigned char* x, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = static_cast<float>(static_cast<signed char>(x[i]));
}

void to_bfloat16(const float* x, unsigned short* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = round_bfloat16(x[i]);
}

void from_bfloat16(const unsigned short* x, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = std::bit_cast<float>(static_cast<std::uint32_t>(x[i]) << 16);
}

void bfloat16_from_unsigned_bytes(const unsigned char* x, unsigned short* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = round_bfloat16(static_cast<float>(x[i]));
}

void bfloat16_from_signed_bytes(const unsigned char* x, unsigned short* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    y[i] = round_bfloat16(static_cast<float>(static_cast<signed char>(x[i])));
}

void from_shorts(const short* x, float* y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = static_cast<float>(x[i]);
}

bool all_finite(const float* x, std::size_t size) {
  return std::all_of(x, x + size, [](float value) { return std::isfinite(value); });
}

double multiply_add_burn(std::size_t iterations) {
  const volatile float unknown = 0.5f;  // to the compiler, which else would compute the answer
  const float half = unknown;
  // All different, else they are one chain.
  float c0 = 0, c1 = 1, c2 = 2, c3 = 3, c4 = 4, c5 = 5, c6 = 6, c7 = 7, c8 = 8, c9 = 9;
  const auto step = [half](auto&... chain) { ((chain = chain * half + half), ...); };
  for (std::size_t i = 0; i < iterations; ++i) step(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9);
  const auto total = [](auto... chain) { return (chain + ...); };
  volatile float kept = total(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9);  // a reader the compiler must serve
  static_cast<void>(kept);
  return static_cast<double>(iterations) * 10.0;
}

}  // namespace

void fill_elementwise(Kernels& set) {
  set.add = add;
  set.relu = relu;
  set.ceil_codes = ceil_codes;
  set.window = window;
  set.sign = sign;
  set.exp_minus = exp_minus;
  set.to_bytes = to_bytes;
  set.from_unsigned_bytes = from_unsigned_bytes;
  set.from_signed_bytes = from_signed_bytes;
  set.from_shorts = from_shorts;
  set.to_bfloat16 = to_bfloat16;
  set.from_bfloat16 = from_bfloat16;
  set.bfloat16_from_unsigned_bytes = bfloat16_from_unsigned_bytes;
  set.bfloat16_from_signed_bytes = bfloat16_from_signed_bytes;
  set.all_finite = all_finite;
  set.multiply_add_burn = multiply_add_burn;
}

}  // namespace qtrain::kernels::reference
