#pragma once
#include "kernels/ceiling.hpp"
#include "kernels/rounding.hpp"

// The elementwise kernels, by vectors: see vector_loops.hpp.

namespace qtrain::kernels {
namespace {

void add(const float* x1, const float* x2, float* y, size_t size) {
  map_flat([](Vector v1, Vector v2) { return v1 + v2; }, y, size, x1, x2);
}

void relu(const float* x, float* y, size_t size) {
  map_flat([](Vector v) { return max(zero(), v); }, y, size, x);
}

void ceil_codes(const float* x, float step, float top, float* y, size_t size) {
  if (Ceiling::serves(step, top)) return map_flat(Ceiling(step, top), y, size, x);
  const Vector steps = all(step), tops = all(top), one = all(1.0f);
  map_flat(
      [&](Vector v) {
        const Vector up = ceiling(v / steps), below = up - one;
        const Vector code = chosen(up * steps < v, up + one, chosen(v <= below * steps, below, up));
        return min(max(code, zero()), tops);
      },
      y, size, x);
}

void window(const float* x, float low, float high, float* g, size_t size) {
  const Vector lows = all(low), highs = all(high);
  map_flat([&](Vector v, Vector gradient) { return kept((lows < v) & (v <= highs), gradient); }, g, size, x,
           static_cast<const float*>(g));
}

void sign(const float* x, float* y, size_t size) {
  map_flat([](Vector v) { return chosen(v < zero(), all(-1.0f), all(1.0f)); }, y, size, x);
}

// As fast_exp_minus(cut_exponent(x)) of the reference, operation by operation.
void exp_minus(const float* x, float* y, size_t size) {
  const Vector shift = all(0x1.8p23f);
  const auto pass = [&](Vector v) {
    const Vector t = as_floats(min(bits(v) & all_integers(0x7FFFFFFF), bits(all(88.0f))));
    const Vector shifted = shift - t * all(1.44269504f);
    const Vector n = shifted - shift;
    const Vector r = (t + n * all(0.693359375f)) + n * all(-2.12194440e-4f);
    const Vector square = r * r;
    const Vector high_part = (all(0x1.5558f4p-5f) - r * all(0x1.123a6cp-7f)) + square * all(0x1.6a2352p-10f);
    const Vector series = (all(0x1.fffffcp-2f) - r * all(0x1.55549p-3f)) + square * high_part;
    const Vector power = as_floats(shifted_left<23>(bits(shifted) + all_integers(127)));
    return (all(1.0f) - (r - square * series)) * power;
  };
  map_flat(pass, y, size, x);
}

void to_bytes(const float* x, unsigned char* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) { at.store_bytes(y + i, truncated(at.load(x + i))); });
}

template <class T>
void widen_all(const T* x, float* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) { at.store(y + i, at.widen(x + i)); });
}

void from_signed_bytes(const unsigned char* x, float* y, size_t size) {
  widen_all(reinterpret_cast<const signed char*>(x), y, size);
}

void to_bfloat16(const float* x, unsigned short* y, size_t size) {
  size_t i = 0;
  for (; i + 2 * kWidth <= size; i += 2 * kWidth)
    store_upper_halves(y + i, rounded(load(x + i)), rounded(load(x + i + kWidth)));
  for_each_column(size - i,
                  [&](auto at, size_t k) { at.store_upper_halves(y + i + k, rounded(at.load(x + i + k))); });
}

// Integers of eight bits leave the lower half of a float empty.
template <class T>
void bfloat16_from_bytes(const unsigned char* x, unsigned short* y, size_t size) {
  for_each_column(size, [&](auto at, size_t i) {
    at.store_upper_halves(y + i, bits(at.widen(reinterpret_cast<const T*>(x) + i)));
  });
}

bool all_finite(const float* x, size_t size) {
  Integers largest = all_integers(0);
  for_each_column(size, [&](auto at, size_t i) {
    largest = max(largest, bits(at.load(x + i)) & all_integers(0x7FFFFFFF));
  });
  int lanes[kWidth];
  store(lanes, largest);
  bool finite = true;
  for (const int lane : lanes) finite &= lane < 0x7F800000;
  return finite;
}

double multiply_add_burn(size_t iterations) {
  const Vector middle = all(0.5f);
  // All different, else they are one chain.
  Vector c0 = all(0), c1 = all(1), c2 = all(2), c3 = all(3), c4 = all(4), c5 = all(5);
  Vector c6 = all(6), c7 = all(7), c8 = all(8), c9 = all(9), c10 = all(10), c11 = all(11);
  const auto step = [middle](auto&... chain) { ((chain = fma(chain, middle, middle)), ...); };
  for (size_t i = 0; i < iterations; ++i) step(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11);
  const auto total = [](auto... chain) { return (chain + ...); };
  float lanes[kWidth];
  store(lanes, total(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11));
  volatile float kept_value = 0;  // a reader the compiler must serve
  for (const float lane : lanes) kept_value = kept_value + lane;
  return static_cast<double>(iterations) * (12.0 * kWidth);
}

inline void fill(Kernels& set) {
  set.add = add;
  set.relu = relu;
  set.ceil_codes = ceil_codes;
  set.window = window;
  set.sign = sign;
  set.exp_minus = exp_minus;
  set.to_bytes = to_bytes;
  set.from_unsigned_bytes = widen_all<unsigned char>;
  set.from_signed_bytes = from_signed_bytes;
  set.from_shorts = widen_all<short>;
  set.to_bfloat16 = to_bfloat16;
  set.from_bfloat16 = widen_all<unsigned short>;
  set.bfloat16_from_unsigned_bytes = bfloat16_from_bytes<unsigned char>;
  set.bfloat16_from_signed_bytes = bfloat16_from_bytes<signed char>;
  set.all_finite = all_finite;
  set.multiply_add_burn = multiply_add_burn;
}

}  // namespace
}  // namespace qtrain::kernels
