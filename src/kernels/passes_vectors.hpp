#pragma once
#include "kernels/ceiling.hpp"
#include "kernels/passes.hpp"
#include "kernels/rounding.hpp"
#include "kernels/unrolled.hpp"

// The passes, by vectors: see vector_loops.hpp.

namespace qtrain::kernels {
namespace {

constexpr size_t kBlock = 256;  ///< pixels summed in float before the double takes over

/// A vector in each of kCount pixels.
template <size_t kCount>
struct Pixels {
  Vector v[kCount];
};

/// op(0), op(1), ...
template <size_t kCount, class Op>
[[gnu::always_inline]] inline Pixels<kCount> each(const Op& op) {
  Pixels<kCount> y;
  for_each_index<kCount>([&](auto k) __attribute__((always_inline)) { y.v[k.value] = op(k.value); });
  return y;
}

template <size_t kCount, class T>
[[gnu::always_inline]] inline Pixels<kCount> widen_each(const void* x, size_t i, size_t stride) {
  return each<kCount>([=](size_t k) { return widen(static_cast<const T*>(x) + i + k * stride); });
}

/// A vector from the i-th value on, and from `stride` values further on. The switch goes the same way all
/// along a tile.
template <size_t kCount>
[[gnu::always_inline]] inline Pixels<kCount> load(const PassSource& source, size_t i, size_t stride) {
  const void* x = source.x;
  switch (source.values) {
    case PassValues::shorts:
      return widen_each<kCount, short>(x, i, stride);
    case PassValues::unsigned_bytes:
      return widen_each<kCount, unsigned char>(x, i, stride);
    case PassValues::bfloat16:
      return widen_each<kCount, unsigned short>(x, i, stride);
    case PassValues::floats:
      break;
  }
  return each<kCount>([=](size_t k) { return load(static_cast<const float*>(x) + i + k * stride); });
}

template <size_t kCount>
[[gnu::always_inline]] inline void store(PassValues values, void* y, size_t i, size_t stride,
                                         const Pixels<kCount>& pixels) {
  if (values == PassValues::bfloat16)
    for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
      store_upper_halves(static_cast<unsigned short*>(y) + i + k.value * stride, rounded(pixels.v[k.value]));
    });
  else
    for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
      store(static_cast<float*>(y) + i + k.value * stride, pixels.v[k.value]);
    });
}

/// affine or affine_add in the lanes from l on.
class Maps {
 public:
  Maps(const PassOperand& z, const PassOperand& r, size_t l)
      : a_(load(z.a + l)), b_(load(z.b + l)), adds_(r.source.x != nullptr) {
    if (!adds_) return;
    c_ = load(r.a + l);
    d_ = load(r.b + l);
  }
  bool adds() const { return adds_; }
  /// Of z, and of r where there is one.
  template <size_t kCount>
  [[gnu::always_inline]] Pixels<kCount> of(const Pixels<kCount>& z, const Pixels<kCount>& r) const {
    const auto map = [&](size_t k) { return z.v[k] * a_ + b_; };
    if (!adds_) return each<kCount>(map);
    return each<kCount>([&](size_t k) { return map(k) + (r.v[k] * c_ + d_); });
  }

 private:
  Vector a_, b_, c_ = zero(), d_ = zero();
  bool adds_;
};

/// Calls pixels(p, count) for four pixels p to p + 3, then for those that are left; count is an Index.
template <class Body>
[[gnu::always_inline]] inline void for_each_pixels(size_t first, size_t last, const Body& body) {
  size_t p = first;
  for (; p + 4 <= last; p += 4) body(p, Index<4>{});
  if (last - p == 3) body(p, Index<3>{});
  if (last - p == 2) body(p, Index<2>{});
  if (last - p == 1) body(p, Index<1>{});
}

template <size_t kCount>
[[gnu::always_inline]] inline Pixels<kCount> load_if(bool there, const PassSource& source, size_t i,
                                                     size_t stride) {
  return there ? load<kCount>(source, i, stride) : each<kCount>([](size_t) { return zero(); });
}

/// The codes of `make(0)`, make(1), ..., integers of each pixel.
template <size_t kCount, class Make>
[[gnu::always_inline]] inline void store_each(const Make& make, Integers tops, unsigned char* codes,
                                              size_t lanes) {
  if constexpr (kCount == 4)
    store_codes({make(0), make(1), make(2), make(3)}, tops, codes, lanes);
  else
    for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
      store_codes(make(k.value), tops, codes + k.value * lanes);
    });
}

void code_pass(const CodePass& pass, size_t pixels, size_t lanes) {
  const Ceiling ceiling(pass.step, pass.top);
  const Integers tops = all_bytes(static_cast<int>(pass.top));
  for (size_t l = 0; l < lanes; l += kWidth) {
    const Maps maps(pass.z, pass.r, l);
    for_each_pixels(
        0, pixels, [&](size_t p, auto count) __attribute__((always_inline)) {
          constexpr size_t kCount = decltype(count)::value;
          const size_t i = p * lanes + l;
          const auto y = maps.of(load<kCount>(pass.z.source, i, lanes),
                                 load_if<kCount>(maps.adds(), pass.r.source, i, lanes));
          store_each<kCount>([&](size_t k) { return ceiling.uncut_below(y.v[k]); }, tops, pass.codes + i,
                             lanes);
        });
  }
}

void folded_pass(const FoldedPass& pass, size_t pixels, size_t lanes) {
  const Integers tops = all_bytes(static_cast<int>(pass.top));
  const Vector top = all(pass.top);
  for (size_t l = 0; l < lanes; l += kWidth) {
    const Vector slopes = load(pass.slopes + l), offsets = load(pass.offsets + l);
    const Vector r_slopes = pass.r == nullptr ? zero() : load(pass.r_slopes + l);
    for_each_pixels(
        0, pixels, [&](size_t p, auto count) __attribute__((always_inline)) {
          constexpr size_t kCount = decltype(count)::value;
          const size_t i = p * lanes + l;
          const auto z = load<kCount>({pass.z, PassValues::shorts}, i, lanes);
          auto sums = each<kCount>([&](size_t) { return offsets; });
          if (pass.r != nullptr) {
            const auto r = load<kCount>({pass.r, PassValues::unsigned_bytes}, i, lanes);
            sums = each<kCount>([&](size_t k) { return fma(r.v[k], r_slopes, offsets); });
          }
          store_each<kCount>([&](size_t k) { return rounded_up(min(fma(z.v[k], slopes, sums.v[k]), top)); },
                             tops, pass.codes + i, lanes);
        });
  }
}

/// The sums of a block, those of pixel p in the k-th of four, k = p mod 4.
class BlockSums {
 public:
  BlockSums(const PassSums& sums, size_t l)
      : sum_(sums.sum == nullptr ? nullptr : sums.sum + l),
        products_(sums.products == nullptr ? nullptr : sums.products + l),
        shift_(products_ == nullptr ? zero() : load(sums.shift + l)) {}
  template <size_t kCount>
  [[gnu::always_inline]] void add(const Pixels<kCount>& g, const Pixels<kCount>& z) {
    if (sum_ == nullptr) return;
    for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
      s_[k.value] = s_[k.value] + g.v[k.value];
      q_[k.value] = q_[k.value] + g.v[k.value] * (z.v[k.value] - shift_);
    });
  }
  void finish() {
    if (sum_ == nullptr) return;
    finish(s_, sum_);
    if (products_ != nullptr) finish(q_, products_);
  }

 private:
  static void finish(Vector (&s)[4], double* to) {
    add_to(to, (s[0] + s[1]) + (s[2] + s[3]));
    for (Vector& part : s) part = zero();
  }

  double *sum_, *products_;
  Vector shift_;
  Vector s_[4] = {zero(), zero(), zero(), zero()}, q_[4] = {zero(), zero(), zero(), zero()};
};

void window_column(const WindowPass& pass, size_t pixels, size_t lanes, size_t l) {
  const Vector low = all(pass.low), high = all(pass.high), slope = all(pass.slope);
  const Maps maps(pass.z, pass.r, l);
  BlockSums z_sums(pass.z_sums, l), r_sums(pass.r_sums, l);
  const bool two = pass.diff_dst[1].x != nullptr;
  for (size_t first = 0; first < pixels; first += kBlock) {
    const size_t last = pixels - first < kBlock ? pixels : first + kBlock;
    for_each_pixels(
        first, last, [&](size_t p, auto count) __attribute__((always_inline)) {
          constexpr size_t kCount = decltype(count)::value;
          const size_t i = p * lanes + l;
          auto g = load<kCount>(pass.diff_dst[0], i, lanes);
          if (two) {
            const auto other = load<kCount>(pass.diff_dst[1], i, lanes);
            g = each<kCount>([&](size_t k) { return g.v[k] + other.v[k]; });
          }
          const auto z = load<kCount>(pass.z.source, i, lanes);
          const auto r = load_if<kCount>(maps.adds(), pass.r.source, i, lanes);
          const auto y = maps.of(z, r);
          g = each<kCount>([&](size_t k) { return kept((low < y.v[k]) & (y.v[k] <= high), g.v[k]) * slope; });
          z_sums.add(g, z);
          r_sums.add(g, r);
          store(pass.values, pass.g, i, lanes, g);
        });
    z_sums.finish();
    r_sums.finish();
  }
}

void window_pass(const WindowPass& pass, size_t pixels, size_t lanes) {
  for (size_t l = 0; l < lanes; l += kWidth) window_column(pass, pixels, lanes, l);
}

void pair_pass(const PairPass& pass, size_t pixels, size_t lanes) {
  for (size_t l = 0; l < lanes; l += kWidth) {
    const Vector p = load(pass.p + l), q = load(pass.q + l), r = load(pass.r + l);
    for_each_pixels(
        0, pixels, [&](size_t pixel, auto count) __attribute__((always_inline)) {
          constexpr size_t kCount = decltype(count)::value;
          const size_t i = pixel * lanes + l;
          const auto g = load<kCount>(pass.g, i, lanes), z = load<kCount>(pass.z, i, lanes);
          store(pass.values, pass.diff, i, lanes,
                each<kCount>([&](size_t k) { return (g.v[k] * p + z.v[k] * q) + r; }));
        });
  }
}

inline void fill(Kernels& set) {
  set.code_pass = code_pass;
  set.folded_pass = folded_pass;
  set.window_pass = window_pass;
  set.pair_pass = pair_pass;
}

}  // namespace
}  // namespace qtrain::kernels
