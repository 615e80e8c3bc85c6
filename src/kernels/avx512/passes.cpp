#include "kernels/passes.hpp"

#include "kernels/avx512/bfloat16.hpp"
#include "kernels/avx512/ceiling.hpp"
#include "kernels/sets.hpp"
#include "kernels/unrolled.hpp"

namespace qtrain::kernels::avx512 {
namespace {

constexpr size_t kBlock = 256;  ///< pixels summed in float before the double takes over

/// A vector in each of kCount pixels.
template <size_t kCount>
struct Pixels {
  __m512 v[kCount];
};

/// op(0), op(1), ...
template <size_t kCount, class Op>
[[gnu::always_inline]] inline Pixels<kCount> each(const Op& op) {
  Pixels<kCount> y;
  for_each_index<kCount>([&](auto k) __attribute__((always_inline)) { y.v[k.value] = op(k.value); });
  return y;
}

inline __m256i halves_at(const void* x, size_t i) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(static_cast<const short*>(x) + i));
}

/// 16 values from the i-th on, and from `stride` values further on. The switch goes the same way all along a
/// tile.
template <size_t kCount>
[[gnu::always_inline]] inline Pixels<kCount> load(const PassSource& source, size_t i, size_t stride) {
  const void* x = source.x;
  switch (source.values) {
    case PassValues::shorts:
      return each<kCount>(
          [=](size_t k) { return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(halves_at(x, i + k * stride))); });
    case PassValues::unsigned_bytes:
      return each<kCount>([=](size_t k) {
        const auto* at = static_cast<const unsigned char*>(x) + i + k * stride;
        return _mm512_cvtepi32_ps(
            _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
      });
    case PassValues::bfloat16:
      return each<kCount>([=](size_t k) { return widened(halves_at(x, i + k * stride)); });
    case PassValues::floats:
      break;
  }
  return each<kCount>(
      [=](size_t k) { return _mm512_loadu_ps(static_cast<const float*>(x) + i + k * stride); });
}

template <size_t kCount>
[[gnu::always_inline]] inline void store(PassValues values, void* y, size_t i, size_t stride,
                                         const Pixels<kCount>& pixels) {
  if (values == PassValues::bfloat16)
    for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
      auto* at = static_cast<short*>(y) + i + k.value * stride;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), upper_halves(rounded(pixels.v[k.value])));
    });
  else
    for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
      _mm512_storeu_ps(static_cast<float*>(y) + i + k.value * stride, pixels.v[k.value]);
    });
}

/// affine or affine_add in the lanes from l on.
class Maps {
 public:
  Maps(const PassOperand& z, const PassOperand& r, size_t l)
      : a_(_mm512_loadu_ps(z.a + l)), b_(_mm512_loadu_ps(z.b + l)), adds_(r.source.x != nullptr) {
    if (!adds_) return;
    c_ = _mm512_loadu_ps(r.a + l);
    d_ = _mm512_loadu_ps(r.b + l);
  }
  bool adds() const { return adds_; }
  /// Of z, and of r where there is one.
  template <size_t kCount>
  [[gnu::always_inline]] Pixels<kCount> of(const Pixels<kCount>& z, const Pixels<kCount>& r) const {
    const auto map = [&](size_t k) { return _mm512_add_ps(_mm512_mul_ps(z.v[k], a_), b_); };
    if (!adds_) return each<kCount>(map);
    return each<kCount>(
        [&](size_t k) { return _mm512_add_ps(map(k), _mm512_add_ps(_mm512_mul_ps(r.v[k], c_), d_)); });
  }

 private:
  __m512 a_, b_, c_ = _mm512_setzero_ps(), d_ = _mm512_setzero_ps();
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
  return there ? load<kCount>(source, i, stride) : each<kCount>([](size_t) { return _mm512_setzero_ps(); });
}

/// 16 integers of each pixel.
template <size_t kCount>
struct Integers {
  __m512i v[kCount];
};

/// Their bytes, those below 0 as 0, those above `tops` as these.
inline void store_codes(const Integers<4>& x, __m512i tops, unsigned char* codes, size_t lanes) {
  const __m512i all =
      _mm512_packus_epi16(_mm512_packs_epi32(x.v[0], x.v[1]), _mm512_packs_epi32(x.v[2], x.v[3]));
  // Four bytes of each pixel, and again of the next lanes.
  const __m512i places = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i bytes = _mm512_permutexvar_epi32(places, _mm512_min_epu8(all, tops));
  if (lanes == kWidth) return _mm512_storeu_si512(codes, bytes);
  for_each_index<4>(
      [&](auto k) { _mm_storeu_epi8(codes + k.value * lanes, _mm512_extracti32x4_epi32(bytes, k.value)); });
}

template <size_t kCount>
void store_codes(const Integers<kCount>& x, __m512i tops, unsigned char* codes, size_t lanes) {
  for_each_index<kCount>([&](auto k) {
    const __m512i cut = _mm512_max_epi32(x.v[k.value], _mm512_setzero_si512());
    const __m128i bytes = _mm_min_epu8(_mm512_cvtusepi32_epi8(cut), _mm512_castsi512_si128(tops));
    _mm_storeu_epi8(codes + k.value * lanes, bytes);
  });
}

void code_pass(const CodePass& pass, size_t pixels, size_t lanes) {
  const Ceiling ceiling(pass.step, pass.top);
  const __m512i tops = _mm512_set1_epi8(static_cast<char>(static_cast<int>(pass.top)));
  for (size_t l = 0; l < lanes; l += kWidth) {
    const Maps maps(pass.z, pass.r, l);
    for_each_pixels(
        0, pixels, [&](size_t p, auto count) __attribute__((always_inline)) {
          constexpr size_t kCount = decltype(count)::value;
          const size_t i = p * lanes + l;
          const auto y = maps.of(load<kCount>(pass.z.source, i, lanes),
                                 load_if<kCount>(maps.adds(), pass.r.source, i, lanes));
          Integers<kCount> x;
          for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
            x.v[k.value] = ceiling.uncut_below(y.v[k.value]);
          });
          store_codes(x, tops, pass.codes + i, lanes);
        });
  }
}

void folded_pass(const FoldedPass& pass, size_t pixels, size_t lanes) {
  const __m512i tops = _mm512_set1_epi8(static_cast<char>(static_cast<int>(pass.top)));
  const __m512 top = _mm512_set1_ps(pass.top);
  for (size_t l = 0; l < lanes; l += kWidth) {
    const __m512 slopes = _mm512_loadu_ps(pass.slopes + l), offsets = _mm512_loadu_ps(pass.offsets + l);
    const __m512 r_slopes = pass.r == nullptr ? _mm512_setzero_ps() : _mm512_loadu_ps(pass.r_slopes + l);
    for_each_pixels(
        0, pixels, [&](size_t p, auto count) __attribute__((always_inline)) {
          constexpr size_t kCount = decltype(count)::value;
          const size_t i = p * lanes + l;
          const auto z = load<kCount>({pass.z, PassValues::shorts}, i, lanes);
          auto sums = each<kCount>([&](size_t) { return offsets; });
          if (pass.r != nullptr) {
            const auto r = load<kCount>({pass.r, PassValues::unsigned_bytes}, i, lanes);
            sums = each<kCount>([&](size_t k) { return _mm512_fmadd_ps(r.v[k], r_slopes, offsets); });
          }
          Integers<kCount> x;
          for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
            const __m512 sum = _mm512_min_ps(_mm512_fmadd_ps(z.v[k.value], slopes, sums.v[k.value]), top);
            x.v[k.value] = _mm512_cvt_roundps_epi32(sum, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
          });
          store_codes(x, tops, pass.codes + i, lanes);
        });
  }
}

/// The sums of a block, those of pixel p in the k-th of four, k = p mod 4.
class BlockSums {
 public:
  BlockSums(const PassSums& sums, size_t l)
      : sum_(sums.sum == nullptr ? nullptr : sums.sum + l),
        products_(sums.products == nullptr ? nullptr : sums.products + l),
        shift_(products_ == nullptr ? _mm512_setzero_ps() : _mm512_loadu_ps(sums.shift + l)) {}
  template <size_t kCount>
  [[gnu::always_inline]] void add(const Pixels<kCount>& g, const Pixels<kCount>& z) {
    if (sum_ == nullptr) return;
    for_each_index<kCount>([&](auto k) __attribute__((always_inline)) {
      s_[k.value] = _mm512_add_ps(s_[k.value], g.v[k.value]);
      q_[k.value] =
          _mm512_add_ps(q_[k.value], _mm512_mul_ps(g.v[k.value], _mm512_sub_ps(z.v[k.value], shift_)));
    });
  }
  void finish() {
    if (sum_ == nullptr) return;
    finish(s_, sum_);
    if (products_ != nullptr) finish(q_, products_);
  }

 private:
  static void finish(__m512 (&s)[4], double* to) {
    Full{}.add(to, _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
    for (__m512& part : s) part = _mm512_setzero_ps();
  }

  double *sum_, *products_;
  __m512 shift_;
  __m512 s_[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  __m512 q_[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
};

void window_column(const WindowPass& pass, size_t pixels, size_t lanes, size_t l) {
  const __m512 low = _mm512_set1_ps(pass.low), high = _mm512_set1_ps(pass.high),
               slope = _mm512_set1_ps(pass.slope);
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
            g = each<kCount>([&](size_t k) { return _mm512_add_ps(g.v[k], other.v[k]); });
          }
          const auto z = load<kCount>(pass.z.source, i, lanes);
          const auto r = load_if<kCount>(maps.adds(), pass.r.source, i, lanes);
          const auto y = maps.of(z, r);
          g = each<kCount>([&](size_t k) {
            const __mmask16 above = _mm512_cmp_ps_mask(low, y.v[k], _CMP_LT_OQ);
            const __mmask16 inside = _mm512_mask_cmp_ps_mask(above, y.v[k], high, _CMP_LE_OQ);
            return _mm512_mul_ps(_mm512_maskz_mov_ps(inside, g.v[k]), slope);
          });
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
    const __m512 p = _mm512_loadu_ps(pass.p + l), q = _mm512_loadu_ps(pass.q + l),
                 r = _mm512_loadu_ps(pass.r + l);
    for_each_pixels(
        0, pixels, [&](size_t pixel, auto count) __attribute__((always_inline)) {
          constexpr size_t kCount = decltype(count)::value;
          const size_t i = pixel * lanes + l;
          const auto g = load<kCount>(pass.g, i, lanes), z = load<kCount>(pass.z, i, lanes);
          store(pass.values, pass.diff, i, lanes, each<kCount>([&](size_t k) {
                  return _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(g.v[k], p), _mm512_mul_ps(z.v[k], q)), r);
                }));
        });
  }
}

}  // namespace

void fill_passes(Kernels& set) {
  set.code_pass = code_pass;
  set.folded_pass = folded_pass;
  set.window_pass = window_pass;
  set.pair_pass = pair_pass;
}

}  // namespace qtrain::kernels::avx512
