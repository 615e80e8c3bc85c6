#pragma once
#include <stddef.h>

#include "kernels/kernel_set.hpp"

// Loops over vectors, for the *_vectors.hpp, which the sources of avx2/ and avx512/ alone include, after the
// vector.hpp of their folder. That defines Vector, kWidth floats; Integers, as many of 32 bits; Mask, lanes
// of either; and what is done with them. min and max are the instructions': of two equal values, or with a
// NaN among them, the second. Everything has internal linkage, so no code compiled there can serve a caller
// elsewhere.

namespace qtrain::kernels {
namespace {

/// Access to kWidth values in memory.
struct Full {
  Vector load(const float* x) const { return kernels::load(x); }
  void store(float* y, Vector v) const { kernels::store(y, v); }
  void add_to(double* sum, Vector v) const { kernels::add_to(sum, v); }
  template <class T>
  Vector widen(const T* x) const {
    return kernels::widen(x);
  }
  void store_bytes(unsigned char* y, Integers v) const { kernels::store_bytes(y, v); }
  void store_upper_halves(unsigned short* y, Integers v) const { kernels::store_upper_halves(y, v); }
  Vector kept(Vector v) const { return v; }
};

/// Access to the first `count` of them alone; the others read as 0.
struct Tail {
  size_t count;
  Mask mask;
  explicit Tail(size_t lanes) : count(lanes), mask(first_lanes(lanes)) {}
  Vector load(const float* x) const { return kernels::load(mask, x); }
  void store(float* y, Vector v) const { kernels::store(mask, y, v); }
  void add_to(double* sum, Vector v) const {
    float values[kWidth];
    kernels::store(values, v);
    for (size_t l = 0; l < count; ++l) sum[l] += static_cast<double>(values[l]);
  }
  template <class T>
  Vector widen(const T* x) const {
    T values[kWidth] = {};
    copy(x, values);
    return kernels::widen(values);
  }
  void store_bytes(unsigned char* y, Integers v) const {
    unsigned char values[kWidth];
    kernels::store_bytes(values, v);
    copy(values, y);
  }
  void store_upper_halves(unsigned short* y, Integers v) const {
    unsigned short values[kWidth];
    kernels::store_upper_halves(values, v);
    copy(values, y);
  }
  Vector kept(Vector v) const { return kernels::kept(mask, v); }

 private:
  template <class T>
  void copy(const T* from, T* to) const {
    for (size_t l = 0; l < count && l < kWidth; ++l) to[l] = from[l];
  }
};

/// Calls body(access, l) for each column of up to kWidth lanes, l its first.
template <class Body>
void for_each_column(size_t lanes, const Body& body) {
  size_t l = 0;
  for (; l + kWidth <= lanes; l += kWidth) body(Full{}, l);
  if (l < lanes) body(Tail(lanes - l), l);
}

/// y = op(x...) for one vector in each of `rows` rows, `stride` values apart.
template <class Access, class Op, class... Input>
void map_rows(Access at, const Op& op, float* y, size_t rows, size_t stride, const Input*... x) {
  size_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const size_t i = row * stride;
    const Vector y0 = op(at.load(x + i)...);
    const Vector y1 = op(at.load(x + i + stride)...);
    const Vector y2 = op(at.load(x + i + 2 * stride)...);
    const Vector y3 = op(at.load(x + i + 3 * stride)...);
    at.store(y + i, y0);
    at.store(y + i + stride, y1);
    at.store(y + i + 2 * stride, y2);
    at.store(y + i + 3 * stride, y3);
  }
  for (; row < rows; ++row) at.store(y + row * stride, op(at.load(x + row * stride)...));
}

/// y[i] = op(x[i]...) for i < size.
template <class Op, class... Input>
void map_flat(const Op& op, float* y, size_t size, const Input*... x) {
  const size_t whole = size - size % kWidth;
  map_rows(Full{}, op, y, size / kWidth, kWidth, x...);
  if (whole < size) map_rows(Tail(size - whole), op, y + whole, 1, kWidth, (x + whole)...);
}

}  // namespace
}  // namespace qtrain::kernels
