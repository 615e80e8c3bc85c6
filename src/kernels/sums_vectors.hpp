#pragma once
#include "kernels/vector_loops.hpp"

// The kernels of sums, by vectors: see vector_loops.hpp.

namespace qtrain::kernels {
namespace {

constexpr size_t kBlock = 256;  ///< pixels summed in float before the double takes over

/// Four sums of a column: sum k takes the pixels p = k mod 4.
struct FourSums {
  Vector s[4] = {zero(), zero(), zero(), zero()};
  void add(size_t k, Vector term) { s[k] = s[k] + term; }
  Vector total() const { return (s[0] + s[1]) + (s[2] + s[3]); }
};

/// Calls body(first, last) for each block of pixels.
template <class Body>
void for_each_block(size_t pixels, const Body& body) {
  for (size_t first = 0; first < pixels; first += kBlock)
    body(first, pixels - first < kBlock ? pixels : first + kBlock);
}

/// Calls add(k, p) for the pixels of a block in order, k = p mod 4.
template <class Add>
void for_each_pixel(size_t first, size_t last, const Add& add) {
  size_t p = first;
  for (; p + 4 <= last; p += 4) {
    add(0, p);
    add(1, p + 1);
    add(2, p + 2);
    add(3, p + 3);
  }
  if (p < last) add(0, p);
  if (p + 1 < last) add(1, p + 1);
  if (p + 2 < last) add(2, p + 2);
}

/// The four sums of one lane.
struct LaneSums {
  __m128 s = _mm_setzero_ps();
  void add(__m128 terms) { s = _mm_add_ps(s, terms); }
  /// Those of the first `count`.
  void add(size_t count, __m128 terms) {
    float sums[4], values[4];
    _mm_storeu_ps(sums, s);
    _mm_storeu_ps(values, terms);
    for (size_t k = 0; k < count; ++k) sums[k] += values[k];
    s = _mm_loadu_ps(sums);
  }
  double total() const {
    const __m128 pairs = _mm_add_ps(s, _mm_movehdup_ps(s));
    return static_cast<double>(_mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehl_ps(pairs, pairs))));
  }
};

/// Calls add(at, count...) for each four pixels of a block of one lane; `at` reads them from where it is
/// told, `count` is there where they are less than four.
template <class Add>
void for_each_four(size_t first, size_t last, const Add& add) {
  size_t p = first;
  for (; p + 4 <= last; p += 4) add([p](const float* x) { return _mm_loadu_ps(x + p); });
  if (p == last) return;
  const size_t count = last - p;
  const auto at = [p, count](const float* x) {
    float values[4] = {};
    for (size_t k = 0; k < count; ++k) values[k] = x[p + k];
    return _mm_loadu_ps(values);
  };
  add(at, count);
}

void moments_plain(const float* z, float shift, double* sum, double* squares, size_t pixels) {
  const __m128 shifts = _mm_set1_ps(shift);
  for_each_block(pixels, [&](size_t first, size_t last) {
    LaneSums s, q;
    for_each_four(first, last, [&](auto at, auto... count) {
      const __m128 deviation = _mm_sub_ps(at(z), shifts);
      s.add(count..., deviation);
      q.add(count..., _mm_mul_ps(deviation, deviation));
    });
    *sum += s.total();
    *squares += q.total();
  });
}

void moments(const float* z, const float* shift, double* sum, double* squares, size_t pixels, size_t lanes) {
  if (lanes == 1) return moments_plain(z, *shift, sum, squares, pixels);
  for_each_column(lanes, [&](auto at, size_t l) {
    const Vector shifts = at.load(shift + l);
    for_each_block(pixels, [&](size_t first, size_t last) {
      FourSums s, q;
      for_each_pixel(first, last, [&](size_t k, size_t p) {
        const Vector deviation = at.load(z + p * lanes + l) - shifts;
        s.add(k, deviation);
        q.add(k, deviation * deviation);
      });
      at.add_to(sum + l, s.total());
      at.add_to(squares + l, q.total());
    });
  });
}

void products_plain(const float* g, const float* z, float shift, double* sum, double* products,
                    size_t pixels) {
  const __m128 shifts = _mm_set1_ps(shift);
  for_each_block(pixels, [&](size_t first, size_t last) {
    LaneSums s, q;
    for_each_four(first, last, [&](auto at, auto... count) {
      const __m128 gradient = at(g);
      s.add(count..., gradient);
      q.add(count..., _mm_mul_ps(gradient, _mm_sub_ps(at(z), shifts)));
    });
    *sum += s.total();
    *products += q.total();
  });
}

void products(const float* g, const float* z, const float* shift, double* sum, double* products,
              size_t pixels, size_t lanes) {
  if (lanes == 1) return products_plain(g, z, *shift, sum, products, pixels);
  for_each_column(lanes, [&](auto at, size_t l) {
    const Vector shifts = at.load(shift + l);
    for_each_block(pixels, [&](size_t first, size_t last) {
      FourSums s, q;
      for_each_pixel(first, last, [&](size_t k, size_t p) {
        const Vector gradient = at.load(g + p * lanes + l);
        s.add(k, gradient);
        q.add(k, gradient * (at.load(z + p * lanes + l) - shifts));
      });
      at.add_to(sum + l, s.total());
      at.add_to(products + l, q.total());
    });
  });
}

void lane_sums_plain(const float* g, double* sum, size_t pixels) {
  for_each_block(pixels, [&](size_t first, size_t last) {
    LaneSums s;
    for_each_four(first, last, [&](auto at, auto... count) { s.add(count..., at(g)); });
    *sum += s.total();
  });
}

void lane_sums(const float* g, double* sum, size_t pixels, size_t lanes) {
  if (lanes == 1) return lane_sums_plain(g, sum, pixels);
  for_each_column(lanes, [&](auto at, size_t l) {
    for_each_block(pixels, [&](size_t first, size_t last) {
      FourSums s;
      for_each_pixel(first, last, [&](size_t k, size_t p) { s.add(k, at.load(g + p * lanes + l)); });
      at.add_to(sum + l, s.total());
    });
  });
}

// What the window leaves out adds 0, which changes no sum: none of them is ever -0.
void window_sums(const float* x, float low, float high, const float* g, double* sums, size_t size) {
  constexpr size_t kLanes = 16;
  const Vector lows = all(low), highs = all(high);
  DoubleSums plain[kLanes / kWidth], products[kLanes / kWidth];
  size_t part = 0;
  for_each_column(size, [&](auto at, size_t i) {
    const Vector values = at.load(x + i);
    const Mask inside = (lows < values) & (values <= highs);
    const Vector gradients = at.kept(kept(inside, at.load(g + i)));
    plain[part].add(gradients);
    products[part].add_products(gradients, kept(inside, values));
    part = (part + 1) % (kLanes / kWidth);
  });
  for (const DoubleSums& sum : plain) sum.add_in_turn(sums);
  for (const DoubleSums& sum : products) sum.add_in_turn(sums + 1);
}

/// Tree sum of a vector at offset i of each x; kCount a power of two.
template <size_t kCount, class Access>
Vector whole_tree(Access at, const float* const* x, size_t i) {
  if constexpr (kCount == 1) {
    return at.load(x[0] + i);
  } else {
    return whole_tree<kCount / 2>(at, x, i) + whole_tree<kCount / 2>(at, x + kCount / 2, i);
  }
}

/// Tree sum for any count: as reference::tree, with the whole trees of up to 16 unrolled.
template <class Access>
Vector tree(Access at, const float* const* x, size_t count, size_t i) {
  switch (count) {
    case 1:
      return whole_tree<1>(at, x, i);
    case 2:
      return whole_tree<2>(at, x, i);
    case 4:
      return whole_tree<4>(at, x, i);
    case 8:
      return whole_tree<8>(at, x, i);
    case 16:
      return whole_tree<16>(at, x, i);
    default:
      break;
  }
  size_t left = 2;
  while (left * 2 < count) left *= 2;
  return tree(at, x, left, i) + tree(at, x + left, count - left, i);
}

void tree_sum(const float* const* x, size_t count, float scale, float* y, size_t size) {
  const Vector scales = all(scale);
  for_each_column(size, [&](auto at, size_t i) { at.store(y + i, scales * tree(at, x, count, i)); });
}

inline void fill(Kernels& set) {
  set.moments = moments;
  set.products = products;
  set.lane_sums = lane_sums;
  set.window_sums = window_sums;
  set.tree_sum = tree_sum;
}

}  // namespace
}  // namespace qtrain::kernels
