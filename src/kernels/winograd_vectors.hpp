#pragma once
#include <stddef.h>

#include "kernels/winograd_tiles.hpp"

// Winograd's tiles in vectors, for the sources of avx2/ and avx512/ alone, which define what is used here
// before they include it: Vector, kWidth values of it, zero(), load(), store(), widen() of bytes, all() of
// one value, operators + and -, half(), fma(), and kSums, the sums that stay in registers. Everything has
// internal linkage, so no code compiled there can serve a caller elsewhere.

namespace qtrain::kernels {
namespace {

inline Vector read(const float* x) { return load(x); }
inline Vector read(const unsigned char* x) { return widen(x); }
inline Vector read(const signed char* x) { return widen(x); }

/// A column or a row of a window.
struct Four {
  Vector x[4];
  Four window() const { return {{x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]}}; }
};

template <class E>
void store(E* y, size_t apart, const Four& values) {
  store(y, values.x[0]);
  store(y + apart, values.x[1]);
  store(y + 2 * apart, values.x[2]);
  store(y + 3 * apart, values.x[3]);
}

/// The rows of pixels that a row of tiles meets; null where they are outside the image, whose values are 0.
template <class T>
struct WindowRows {
  const T* row[4];
  size_t width, channels;

  WindowRows(const WinogradTiles& tiles, const T* image, size_t tile_row)
      : width(tiles.width), channels(tiles.channels) {
    for (size_t i = 0; i < 4; ++i) {
      const size_t y = 2 * tile_row + i;  // from 1 on
      row[i] = y >= 1 && y <= tiles.height ? image + (y - 1) * width * channels : nullptr;
    }
  }
  Vector value(size_t i, size_t at) const { return row[i] != nullptr ? read(row[i] + at) : zero(); }
  Four column(size_t x, size_t c) const {
    if (x >= width) return {{zero(), zero(), zero(), zero()}};
    const size_t at = x * channels + c;
    return Four{{value(0, at), value(1, at), value(2, at), value(3, at)}}.window();
  }
};

/// A column belongs to two windows and is transformed once.
template <class T, class E>
void winograd_windows(const WinogradTiles& tiles, const void* images, size_t first_row, size_t rows, E* v) {
  const size_t pixels = tiles.height * tiles.width * tiles.channels;
  for (size_t r = first_row; r < first_row + rows; ++r) {
    const WindowRows<T> from(tiles, static_cast<const T*>(images) + r / tiles.rows * pixels, r % tiles.rows);
    for (size_t c = 0; c < tiles.channels; c += kWidth) {
      Four left{{zero(), zero(), zero(), zero()}}, next = from.column(0, c);
      E* to = v + c;
      for (size_t t = 0; t < tiles.columns; ++t, to += tiles.channels) {
        const Four third = from.column(2 * t + 1, c), fourth = from.column(2 * t + 2, c);
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i)
          store(to + 4 * i * tiles.apart, tiles.apart,
                Four{{left.x[i], next.x[i], third.x[i], fourth.x[i]}}.window());
        left = third;
        next = fourth;
      }
    }
    v += tiles.columns * tiles.channels;
  }
}

/// The pixels of a row of tiles.
template <class T>
struct PixelRow {
  T* row;
  size_t width, channels;
  bool second;  ///< there are two rows

  PixelRow(const WinogradTiles& tiles, T* images, size_t row_of_tiles)
      : width(tiles.width), channels(tiles.channels) {
    const size_t image = row_of_tiles / tiles.rows, y = 2 * (row_of_tiles % tiles.rows);
    row = images + (image * tiles.height + y) * width * channels;
    second = y + 1 < tiles.height;
  }
  T* at(size_t i, size_t x, size_t c) const { return row + (i * width + x) * channels + c; }
};

template <class E>
void winograd_results(const WinogradTiles& tiles, const float* m, size_t first_row, size_t rows, E* y) {
  for (size_t r = first_row; r < first_row + rows; ++r) {
    const PixelRow<E> to(tiles, y, r);
    for (size_t t = 0; t < tiles.columns; ++t) {
      const bool more = 2 * t + 1 < tiles.width;
      for (size_t c = 0; c < tiles.channels; c += kWidth, m += kWidth) {
        Vector upper[4], lower[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
          const Vector x1 = load(m + (4 + j) * tiles.apart), x2 = load(m + (8 + j) * tiles.apart);
          upper[j] = (load(m + j * tiles.apart) + x1) + x2;
          lower[j] = (x1 - x2) - load(m + (12 + j) * tiles.apart);
        }
        store(to.at(0, 2 * t, c), (upper[0] + upper[1]) + upper[2]);
        if (more) store(to.at(0, 2 * t + 1, c), (upper[1] - upper[2]) - upper[3]);
        if (to.second) store(to.at(1, 2 * t, c), (lower[0] + lower[1]) + lower[2]);
        if (to.second && more) store(to.at(1, 2 * t + 1, c), (lower[1] - lower[2]) - lower[3]);
      }
    }
  }
}

void winograd_gradients(const WinogradTiles& tiles, const float* g, size_t first_row, size_t rows, float* e) {
  for (size_t r = first_row; r < first_row + rows; ++r) {
    const PixelRow<const float> from(tiles, g, r);
    for (size_t t = 0; t < tiles.columns; ++t) {
      const bool more = 2 * t + 1 < tiles.width;
      for (size_t c = 0; c < tiles.channels; c += kWidth, e += kWidth) {
        const auto value = [&](size_t i, size_t j) {
          return (i == 0 || from.second) && (j == 0 || more) ? load(from.at(i, 2 * t + j, c)) : zero();
        };
        const Vector x00 = value(0, 0), x01 = value(0, 1), x10 = value(1, 0), x11 = value(1, 1);
        const Vector left[4] = {x00, x00 + x10, x00 - x10, x10}, right[4] = {x01, x01 + x11, x01 - x11, x11};
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i)
          store(e + 4 * i * tiles.apart, tiles.apart,
                Four{{left[i], left[i] + right[i], left[i] - right[i], right[i]}});
      }
    }
  }
}

/// A row of G.
inline Four weights(Vector x0, Vector x1, Vector x2) {
  const Vector sum = x0 + x2;
  return {{x0, half(sum + x1), half(sum - x1), x2}};
}

/// The rows of G g G^T of one term.
inline void weight_rows(const float* g, size_t lanes, bool turned, Four (&rows)[4]) {
  const auto tap = [&](size_t ky, size_t kx) {
    const size_t at = ky * 3 + kx;
    return load(g + (turned ? 8 - at : at) * lanes);
  };
  Four columns[3];
  for (size_t j = 0; j < 3; ++j) columns[j] = weights(tap(0, j), tap(1, j), tap(2, j));
  for (size_t i = 0; i < 4; ++i) rows[i] = weights(columns[0].x[i], columns[1].x[i], columns[2].x[i]);
}

void winograd_weights(size_t terms, size_t lanes, const float* g, bool turned, float* u) {
  const size_t apart = terms * lanes;
  for (size_t k = 0; k < terms; ++k)
    for (size_t l = 0; l < lanes; l += kWidth) {
      Four rows[4];
      weight_rows(g + k * 9 * lanes + l, lanes, turned, rows);
      for (size_t i = 0; i < 4; ++i) store(u + 4 * i * apart + k * lanes + l, apart, rows[i]);
    }
}

struct Three {
  Vector x[3];
};

/// A row of G'^T.
inline Three weight_gradients(Vector x0, Vector x1, Vector x2, Vector x3) {
  const Vector h1 = half(x1), h2 = half(x2), sum = h1 + h2;
  return {{x0 + sum, h1 - h2, sum - x3}};
}

void winograd_weight_gradients(size_t terms, size_t lanes, const float* u, float* diff_weights) {
  const size_t apart = terms * lanes;
  for (size_t k = 0; k < terms; ++k)
    for (size_t l = 0; l < lanes; l += kWidth) {
      const float* from = u + k * lanes + l;
      Three columns[4];
      for (size_t j = 0; j < 4; ++j)
        columns[j] = weight_gradients(load(from + j * apart), load(from + (4 + j) * apart),
                                      load(from + (8 + j) * apart), load(from + (12 + j) * apart));
      float* to = diff_weights + k * 9 * lanes + l;
      for (size_t i = 0; i < 3; ++i) {
        const Three row =
            weight_gradients(columns[0].x[i], columns[1].x[i], columns[2].x[i], columns[3].x[i]);
        for (size_t j = 0; j < 3; ++j) store(to + (3 * i + j) * lanes, row.x[j]);
      }
    }
}

/// Sums of kRows rows and kVectors vectors of lanes.
template <size_t kRows, size_t kVectors>
struct Sums {
  Vector sums[kRows][kVectors];

  void clear() {
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (size_t n = 0; n < kVectors; ++n) sums[r][n] = zero();
  }
  void read(const float* from, size_t stride) {
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (size_t n = 0; n < kVectors; ++n) sums[r][n] = load(from + r * stride + n * kWidth);
  }
  void write(float* to, size_t stride) const {
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (size_t n = 0; n < kVectors; ++n) store(to + r * stride + n * kWidth, sums[r][n]);
  }
  /// Row r += factors[r * stride] * lanes.
  void add(const float* factors, size_t stride, const float* lanes) {
    Vector x[kVectors];
#pragma GCC unroll 2
    for (size_t n = 0; n < kVectors; ++n) x[n] = load(lanes + n * kWidth);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const Vector factor = all(factors[r * stride]);
#pragma GCC unroll 2
      for (size_t n = 0; n < kVectors; ++n) sums[r][n] = fma(factor, x[n], sums[r][n]);
    }
  }
};

/// Calls work(Sums, row) for all rows: as many as there are registers at a time, then single ones.
template <size_t kVectors, class Work>
void in_rows(size_t rows, const Work& work) {
  constexpr size_t kRows = kSums / kVectors;
  size_t row = 0;
  for (; row + kRows <= rows; row += kRows) work(Sums<kRows, kVectors>{}, row);
  for (; row < rows; ++row) work(Sums<1, kVectors>{}, row);
}

/// Calls work(Sums, row, lane) for all of them.
template <class Work>
void in_blocks(size_t rows, size_t lanes, const Work& work) {
  size_t l = 0;
  for (; l + 2 * kWidth <= lanes; l += 2 * kWidth)
    in_rows<2>(rows, [&](auto sums, size_t row) { work(sums, row, l); });
  if (l < lanes) in_rows<1>(rows, [&](auto sums, size_t row) { work(sums, row, l); });
}

void winograd_products(const WinogradProduct& product, const float* v, const float* u, size_t tiles,
                       float* m) {
  const size_t terms = product.terms, lanes = product.lanes;
  for (size_t p = 0; p < 16; ++p, v += product.src_apart, u += terms * lanes, m += product.dst_apart)
    in_blocks(tiles, lanes, [&](auto sums, size_t tile, size_t l) {
      sums.clear();
      const float *factors = v + tile * terms, *x = u + l;
      for (size_t k = 0; k < terms; ++k, ++factors, x += lanes) sums.add(factors, terms, x);
      sums.write(m + tile * lanes + l, lanes);
    });
}

void winograd_sums(const WinogradProduct& product, const float* e, const float* v, size_t tiles, float* u) {
  const size_t terms = product.terms, lanes = product.lanes;
  for (size_t p = 0; p < 16; ++p, e += product.src_apart, v += product.dst_apart, u += terms * lanes)
    in_blocks(terms, lanes, [&](auto sums, size_t k, size_t l) {
      float* at = u + k * lanes + l;
      sums.read(at, lanes);
      const float *factors = e + k, *x = v + l;
      for (size_t t = 0; t < tiles; ++t, factors += terms, x += lanes) sums.add(factors, 1, x);
      sums.write(at, lanes);
    });
}

inline void fill(Kernels& set) {
  set.winograd_weights = winograd_weights;
  set.winograd_windows = winograd_windows<float, float>;
  set.winograd_unsigned_byte_windows = winograd_windows<unsigned char, float>;
  set.winograd_signed_byte_windows = winograd_windows<signed char, float>;
  set.winograd_products = winograd_products;
  set.winograd_results = winograd_results<float>;
  set.winograd_gradients = winograd_gradients;
  set.winograd_sums = winograd_sums;
  set.winograd_weight_gradients = winograd_weight_gradients;
}

}  // namespace
}  // namespace qtrain::kernels
