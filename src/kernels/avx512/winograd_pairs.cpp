#include "kernels/avx512/vector.hpp"
#include "kernels/sets.hpp"
#include "kernels/winograd_vectors.hpp"

// Built with AVX-512 BF16 besides; runs only in sets that ask for it.

namespace qtrain::kernels {
namespace {

struct Bfloat16 {
  unsigned short bits;
};

inline Vector read(const Bfloat16* x) { return widen(&x->bits); }

inline void store(Bfloat16* y, Vector v) {
  const __m256bh halves = _mm512_cvtneps_pbh(v.values);
  __builtin_memcpy(y, &halves, sizeof halves);
}

/// Stores words of two values, the first in the lower half.
inline void store_pairs(unsigned* y, Vector first, Vector second) {
  const __m512bh halves = _mm512_cvtne2ps_pbh(second.values, first.values);
  __m512i both;
  __builtin_memcpy(&both, &halves, sizeof both);
  const __m512i places = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                          22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_storeu_si512(y, _mm512_permutexvar_epi16(places, both));
}

inline void store_pairs(unsigned* y, size_t apart, const Four& first, const Four& second) {
#pragma GCC unroll 4
  for (size_t j = 0; j < 4; ++j) store_pairs(y + j * apart, first.x[j], second.x[j]);
}

void bfloat16_windows(const WinogradTiles& tiles, const unsigned short* x, size_t first_row, size_t rows,
                      unsigned short* v) {
  winograd_windows<Bfloat16>(tiles, x, first_row, rows, reinterpret_cast<Bfloat16*>(v));
}

void bfloat16_results(const WinogradTiles& tiles, const float* m, size_t first_row, size_t rows,
                      unsigned short* y) {
  winograd_results(tiles, m, first_row, rows, reinterpret_cast<Bfloat16*>(y));
}

template <class T>
void window_pairs(const WinogradTiles& tiles, const void* images, size_t first_row, size_t rows,
                  unsigned* v) {
  const size_t pixels = tiles.height * tiles.width * tiles.channels;
  for (size_t r = first_row; r < first_row + rows; ++r) {
    const WindowRows<T> from(tiles, static_cast<const T*>(images) + r / tiles.rows * pixels, r % tiles.rows);
    for (size_t c = 0; c < tiles.channels; c += kWidth) {
      Four left{{zero(), zero(), zero(), zero()}}, next = from.column(0, c);
      unsigned* to = v + c;
      for (size_t t = 0; t < tiles.columns; t += 2, to += tiles.channels) {
        const Four x2 = from.column(2 * t + 1, c), x3 = from.column(2 * t + 2, c);
        const Four x4 = from.column(2 * t + 3, c), x5 = from.column(2 * t + 4, c);
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i)
          store_pairs(to + 4 * i * tiles.apart, tiles.apart,
                      Four{{left.x[i], next.x[i], x2.x[i], x3.x[i]}}.window(),
                      Four{{x2.x[i], x3.x[i], x4.x[i], x5.x[i]}}.window());
        left = x4;
        next = x5;
      }
    }
    v += tiles.columns / 2 * tiles.channels;
  }
}

/// The four rows of A' g of a tile, before columns.
struct GradientTile {
  Vector left[4], right[4];
  GradientTile(const PixelRow<const Bfloat16>& from, size_t t, size_t c) {
    const bool more = 2 * t + 1 < from.width;
    const auto value = [&](size_t i, size_t j) {
      return (i == 0 || from.second) && (j == 0 || more) ? read(from.at(i, 2 * t + j, c)) : zero();
    };
    const Vector x00 = value(0, 0), x01 = value(0, 1), x10 = value(1, 0), x11 = value(1, 1);
    left[0] = x00, left[1] = x00 + x10, left[2] = x00 - x10, left[3] = x10;
    right[0] = x01, right[1] = x01 + x11, right[2] = x01 - x11, right[3] = x11;
  }
  Four row(size_t i) const { return {{left[i], left[i] + right[i], left[i] - right[i], right[i]}}; }
};

void gradient_pairs(const WinogradTiles& tiles, const unsigned short* g, size_t first_row, size_t rows,
                    unsigned* e) {
  for (size_t r = first_row; r < first_row + rows; ++r) {
    const PixelRow<const Bfloat16> from(tiles, reinterpret_cast<const Bfloat16*>(g), r);
    for (size_t t = 0; t < tiles.columns; t += 2)
      for (size_t c = 0; c < tiles.channels; c += kWidth, e += kWidth) {
        const GradientTile first(from, t, c), second(from, t + 1, c);
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i)
          store_pairs(e + 4 * i * tiles.apart, tiles.apart, first.row(i), second.row(i));
      }
  }
}

void pair_weights(size_t terms, size_t lanes, const float* g, bool turned, unsigned* u) {
  const size_t apart = terms / 2 * lanes;
  for (size_t k = 0; k < terms; k += 2)
    for (size_t l = 0; l < lanes; l += kWidth) {
      Four rows[2][4];
      for (size_t n = 0; n < 2; ++n) weight_rows(g + (k + n) * 9 * lanes + l, lanes, turned, rows[n]);
      for (size_t i = 0; i < 4; ++i)
        store_pairs(u + 4 * i * apart + k / 2 * lanes + l, apart, rows[0][i], rows[1][i]);
    }
}

/// Row r += the pair factors[r * stride] times lanes.
template <size_t kRows, size_t kVectors>
[[gnu::always_inline]] inline void add_pairs(Sums<kRows, kVectors>& sums, const unsigned* factors,
                                             size_t stride, const unsigned* lanes) {
  __m512bh x[kVectors];
#pragma GCC unroll 2
  for (size_t n = 0; n < kVectors; ++n) __builtin_memcpy(&x[n], lanes + n * kWidth, sizeof x[n]);
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    const __m512i word = _mm512_set1_epi32(static_cast<int>(factors[r * stride]));
    __m512bh factor;
    __builtin_memcpy(&factor, &word, sizeof factor);
#pragma GCC unroll 2
    for (size_t n = 0; n < kVectors; ++n)
      sums.sums[r][n].values = _mm512_dpbf16_ps(sums.sums[r][n].values, factor, x[n]);
  }
}

void pair_products(const WinogradProduct& product, const unsigned short* v, const unsigned* u, size_t tiles,
                   float* m) {
  const size_t pairs = product.terms / 2, lanes = product.lanes;
  for (size_t p = 0; p < 16; ++p, v += product.src_apart, u += pairs * lanes, m += product.dst_apart)
    in_blocks(tiles, lanes, [&](auto sums, size_t tile, size_t l) {
      sums.clear();
      const unsigned *factors = reinterpret_cast<const unsigned*>(v) + tile * pairs, *x = u + l;
      for (size_t k = 0; k < pairs; ++k, ++factors, x += lanes) add_pairs(sums, factors, pairs, x);
      sums.write(m + tile * lanes + l, lanes);
    });
}

void pair_sums(const WinogradProduct& product, const unsigned* e, const unsigned* v, size_t pairs, float* u) {
  const size_t terms = product.terms, lanes = product.lanes;
  for (size_t p = 0; p < 16; ++p, e += product.src_apart, v += product.dst_apart, u += terms * lanes)
    in_blocks(terms, lanes, [&](auto sums, size_t k, size_t l) {
      float* at = u + k * lanes + l;
      sums.read(at, lanes);
      const unsigned *factors = e + k, *x = v + l;
      for (size_t t = 0; t < pairs; ++t, factors += terms, x += lanes) add_pairs(sums, factors, 1, x);
      sums.write(at, lanes);
    });
}

}  // namespace
}  // namespace qtrain::kernels

namespace qtrain::kernels::avx512 {

void fill_winograd_pairs(Kernels& set) {
  set.winograd_pair_weights = pair_weights;
  set.winograd_bfloat16_windows = bfloat16_windows;
  set.winograd_bfloat16_results = bfloat16_results;
  set.winograd_window_pairs = window_pairs<Bfloat16>;
  set.winograd_unsigned_byte_window_pairs = window_pairs<unsigned char>;
  set.winograd_signed_byte_window_pairs = window_pairs<signed char>;
  set.winograd_gradient_pairs = gradient_pairs;
  set.winograd_pair_products = pair_products;
  set.winograd_pair_sums = pair_sums;
}

}  // namespace qtrain::kernels::avx512
