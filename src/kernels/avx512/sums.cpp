#include "kernels/avx512/vectors.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kBlock = 256;  ///< pixels summed in float before the double takes over

/// Four sums of 16 lanes: sum k takes the pixels p = k mod 4.
struct FourSums {
  __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  void add(size_t k, __m512 term) { s[k] = _mm512_add_ps(s[k], term); }
  __m512 total() const { return _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])); }
};

/// (s0 + s1) + (s2 + s3) of the four sums of one lane.
double total(__m128 s) {
  const __m128 pairs = _mm_add_ps(s, _mm_movehdup_ps(s));
  return static_cast<double>(_mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehl_ps(pairs, pairs))));
}

/// Calls body(first, last) for each block of pixels.
template <class Body>
void for_each_block(size_t pixels, const Body& body) {
  for (size_t first = 0; first < pixels; first += kBlock) {
    body(first, pixels - first < kBlock ? pixels : first + kBlock);
  }
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

/// Calls add(mask, p) for each four pixels of a block; the mask is short for the last ones.
template <class Add>
void for_each_four(size_t first, size_t last, const Add& add) {
  for (size_t p = first; p < last; p += 4) add(static_cast<__mmask8>(first_lanes(last - p) & 0xF), p);
}

/// moments for lanes = 1: the four sums are the lanes of a vector of four pixels.
void moments_plain(const float* z, float shift, double* sum, double* squares, size_t pixels) {
  const __m128 shift4 = _mm_set1_ps(shift);
  for_each_block(pixels, [&](size_t first, size_t last) {
    __m128 s = _mm_setzero_ps(), q = _mm_setzero_ps();
    for_each_four(first, last, [&](__mmask8 mask, size_t p) {
      const __m128 deviation = _mm_sub_ps(_mm_maskz_loadu_ps(mask, z + p), shift4);
      s = _mm_mask_add_ps(s, mask, s, deviation);
      q = _mm_mask_add_ps(q, mask, q, _mm_mul_ps(deviation, deviation));
    });
    *sum += total(s);
    *squares += total(q);
  });
}

void moments(const float* z, const float* shift, double* sum, double* squares, size_t pixels, size_t lanes) {
  if (lanes == 1) return moments_plain(z, *shift, sum, squares, pixels);
  for_each_column(lanes, [&](auto at, size_t l) {
    const __m512 shifts = at.load(shift + l);
    for_each_block(pixels, [&](size_t first, size_t last) {
      FourSums s, q;
      for_each_pixel(first, last, [&](size_t k, size_t p) {
        const __m512 deviation = _mm512_sub_ps(at.load(z + p * lanes + l), shifts);
        s.add(k, deviation);
        q.add(k, _mm512_mul_ps(deviation, deviation));
      });
      at.add(sum + l, s.total());
      at.add(squares + l, q.total());
    });
  });
}

/// products for lanes = 1.
void products_plain(const float* g, const float* z, float shift, double* sum, double* products,
                    size_t pixels) {
  const __m128 shift4 = _mm_set1_ps(shift);
  for_each_block(pixels, [&](size_t first, size_t last) {
    __m128 s = _mm_setzero_ps(), q = _mm_setzero_ps();
    for_each_four(first, last, [&](__mmask8 mask, size_t p) {
      const __m128 gradient = _mm_maskz_loadu_ps(mask, g + p);
      const __m128 deviation = _mm_sub_ps(_mm_maskz_loadu_ps(mask, z + p), shift4);
      s = _mm_mask_add_ps(s, mask, s, gradient);
      q = _mm_mask_add_ps(q, mask, q, _mm_mul_ps(gradient, deviation));
    });
    *sum += total(s);
    *products += total(q);
  });
}

void products(const float* g, const float* z, const float* shift, double* sum, double* products,
              size_t pixels, size_t lanes) {
  if (lanes == 1) return products_plain(g, z, *shift, sum, products, pixels);
  for_each_column(lanes, [&](auto at, size_t l) {
    const __m512 shifts = at.load(shift + l);
    for_each_block(pixels, [&](size_t first, size_t last) {
      FourSums s, q;
      for_each_pixel(first, last, [&](size_t k, size_t p) {
        const __m512 gradient = at.load(g + p * lanes + l);
        const __m512 deviation = _mm512_sub_ps(at.load(z + p * lanes + l), shifts);
        s.add(k, gradient);
        q.add(k, _mm512_mul_ps(gradient, deviation));
      });
      at.add(sum + l, s.total());
      at.add(products + l, q.total());
    });
  });
}

/// lane_sums for lanes = 1.
void lane_sums_plain(const float* g, double* sum, size_t pixels) {
  for_each_block(pixels, [&](size_t first, size_t last) {
    __m128 s = _mm_setzero_ps();
    for_each_four(first, last, [&](__mmask8 mask, size_t p) {
      s = _mm_mask_add_ps(s, mask, s, _mm_maskz_loadu_ps(mask, g + p));
    });
    *sum += total(s);
  });
}

void lane_sums(const float* g, double* sum, size_t pixels, size_t lanes) {
  if (lanes == 1) return lane_sums_plain(g, sum, pixels);
  for_each_column(lanes, [&](auto at, size_t l) {
    for_each_block(pixels, [&](size_t first, size_t last) {
      FourSums s;
      for_each_pixel(first, last, [&](size_t k, size_t p) { s.add(k, at.load(g + p * lanes + l)); });
      at.add(sum + l, s.total());
    });
  });
}

__m512d low_half(__m512 x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
__m512d high_half(__m512 x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }

/// Adds 16 values in turn.
void add_in_turn(double* sum, __m512d low, __m512d high) {
  double values[16];
  _mm512_storeu_pd(values, low);
  _mm512_storeu_pd(values + 8, high);
  for (const double value : values) *sum += value;
}

// What the window leaves out adds 0, which changes no sum: none of them is ever -0.
void window_sums(const float* x, float low, float high, const float* g, double* sums, size_t size) {
  const __m512 lows = _mm512_set1_ps(low), highs = _mm512_set1_ps(high);
  __m512d plain_low = _mm512_setzero_pd(), plain_high = plain_low, product_low = plain_low,
          product_high = plain_low;
  for_each_column(size, [&](auto at, size_t i) {
    const __m512 values = at.load(x + i);
    const __mmask16 above = _mm512_mask_cmp_ps_mask(at.lanes(), lows, values, _CMP_LT_OQ);
    const __mmask16 inside = _mm512_mask_cmp_ps_mask(above, values, highs, _CMP_LE_OQ);
    const __m512 kept = _mm512_maskz_mov_ps(inside, values);
    const __m512 gradients = _mm512_maskz_mov_ps(inside, at.load(g + i));
    plain_low = _mm512_add_pd(plain_low, low_half(gradients));
    plain_high = _mm512_add_pd(plain_high, high_half(gradients));
    product_low = _mm512_add_pd(product_low, _mm512_mul_pd(low_half(gradients), low_half(kept)));
    product_high = _mm512_add_pd(product_high, _mm512_mul_pd(high_half(gradients), high_half(kept)));
  });
  add_in_turn(sums, plain_low, plain_high);
  add_in_turn(sums + 1, product_low, product_high);
}

/// Tree sum of 16 values at offset i of each x; kCount a power of two.
template <size_t kCount, class Access>
__m512 whole_tree(Access at, const float* const* x, size_t i) {
  if constexpr (kCount == 1) {
    return at.load(x[0] + i);
  } else {
    return _mm512_add_ps(whole_tree<kCount / 2>(at, x, i), whole_tree<kCount / 2>(at, x + kCount / 2, i));
  }
}

/// Tree sum for any count: as reference::tree, with the whole trees of up to 16 unrolled.
template <class Access>
__m512 tree(Access at, const float* const* x, size_t count, size_t i) {
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
  return _mm512_add_ps(tree(at, x, left, i), tree(at, x + left, count - left, i));
}

void tree_sum(const float* const* x, size_t count, float scale, float* y, size_t size) {
  const __m512 scales = _mm512_set1_ps(scale);
  for_each_column(size,
                  [&](auto at, size_t i) { at.store(y + i, _mm512_mul_ps(scales, tree(at, x, count, i))); });
}

}  // namespace

void fill_sums(Kernels& set) {
  set.moments = moments;
  set.products = products;
  set.lane_sums = lane_sums;
  set.window_sums = window_sums;
  set.tree_sum = tree_sum;
}

}  // namespace qtrain::kernels::avx512
