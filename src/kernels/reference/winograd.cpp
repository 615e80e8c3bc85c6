#include <array>
#include <bit>
#include <cstdint>

#include "kernels/kernels.hpp"
#include "kernels/reference/pair_sum.hpp"
#include "kernels/reference/round_bfloat16.hpp"
#include "kernels/sets.hpp"
#include "kernels/winograd_tiles.hpp"

namespace qtrain::kernels::reference {
namespace {

template <std::size_t kRows, std::size_t kColumns>
using Matrix = std::array<std::array<float, kColumns>, kRows>;

/// map(map(x) by columns) by rows; map takes and gives std::arrays.
template <std::size_t kTo, std::size_t kFrom, class Map>
Matrix<kTo, kTo> both_ways(const Matrix<kFrom, kFrom>& x, const Map& map) {
  Matrix<kTo, kFrom> columns;
  for (std::size_t j = 0; j < kFrom; ++j) {
    std::array<float, kFrom> column;
    for (std::size_t i = 0; i < kFrom; ++i) column[i] = x[i][j];
    const std::array<float, kTo> mapped = map(column);
    for (std::size_t i = 0; i < kTo; ++i) columns[i][j] = mapped[i];
  }
  Matrix<kTo, kTo> y;
  for (std::size_t i = 0; i < kTo; ++i) y[i] = map(columns[i]);
  return y;
}

std::array<float, 4> window(const std::array<float, 4>& x) {
  return {x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]};
}
std::array<float, 2> result(const std::array<float, 4>& x) {
  return {(x[0] + x[1]) + x[2], (x[1] - x[2]) - x[3]};
}
std::array<float, 4> gradient(const std::array<float, 2>& x) {
  return {x[0], x[0] + x[1], x[0] - x[1], x[1]};
}
std::array<float, 4> weights(const std::array<float, 3>& x) {
  return {x[0], ((x[0] + x[2]) + x[1]) * 0.5f, ((x[0] + x[2]) - x[1]) * 0.5f, x[2]};
}
std::array<float, 3> weight_gradient(const std::array<float, 4>& x) {
  const float h1 = x[1] * 0.5f, h2 = x[2] * 0.5f;
  return {x[0] + (h1 + h2), h1 - h2, (h1 + h2) - x[3]};
}

/// Calls work(image, row of tiles in it, column, tile, channel); tiles are counted from first_row on.
template <class Work>
void for_each_tile(const WinogradTiles& tiles, std::size_t first_row, std::size_t rows, const Work& work) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t t = 0; t < tiles.columns; ++t)
      for (std::size_t c = 0; c < tiles.channels; ++c) {
        const std::size_t row = first_row + r;
        work(row / tiles.rows, row % tiles.rows, t, (r * tiles.columns + t) * tiles.channels + c, c);
      }
}

std::size_t pixel(const WinogradTiles& tiles, std::size_t image, std::size_t y, std::size_t x,
                  std::size_t c) {
  return ((image * tiles.height + y) * tiles.width + x) * tiles.channels + c;
}

float value_of(float x) { return x; }
float value_of(unsigned char x) { return x; }
float value_of(signed char x) { return x; }
float value_of(unsigned short x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16); }

/// Calls put(element, where in it, value).
template <class T, class Put>
void transform_windows(const WinogradTiles& tiles, const void* images, std::size_t first_row,
                       std::size_t rows, const Put& put) {
  const T* from = static_cast<const T*>(images);
  for_each_tile(tiles, first_row, rows,
                [&](std::size_t image, std::size_t row, std::size_t t, std::size_t at, std::size_t c) {
                  Matrix<4, 4> x{};
                  for (std::size_t i = 0; i < 4; ++i)
                    for (std::size_t j = 0; j < 4; ++j) {
                      const std::size_t below = 2 * row + i, right = 2 * t + j;  // both one too large
                      if (below >= 1 && below <= tiles.height && right >= 1 && right <= tiles.width)
                        x[i][j] = value_of(from[pixel(tiles, image, below - 1, right - 1, c)]);
                    }
                  const Matrix<4, 4> y = both_ways<4>(x, window);
                  for (std::size_t p = 0; p < 16; ++p) put(p, at, y[p / 4][p % 4]);
                });
}

template <class T>
void winograd_windows(const WinogradTiles& tiles, const void* images, std::size_t first_row, std::size_t rows,
                      float* v) {
  transform_windows<T>(tiles, images, first_row, rows,
                       [&](std::size_t p, std::size_t at, float value) { v[p * tiles.apart + at] = value; });
}

void bfloat16_windows(const WinogradTiles& tiles, const unsigned short* images, std::size_t first_row,
                      std::size_t rows, unsigned short* v) {
  transform_windows<unsigned short>(
      tiles, images, first_row, rows,
      [&](std::size_t p, std::size_t at, float value) { v[p * tiles.apart + at] = round_bfloat16(value); });
}

/// Puts values [tile][channel] where they belong in words of two tiles.
auto into_pairs(const WinogradTiles& tiles, unsigned* words) {
  return [&tiles, words](std::size_t p, std::size_t at, float value) {
    const std::size_t tile = at / tiles.channels, channel = at % tiles.channels;
    unsigned& word = words[p * tiles.apart + tile / 2 * tiles.channels + channel];
    const unsigned half = round_bfloat16(value);
    word = tile % 2 == 0 ? half : (word & 0xFFFF) | half << 16;
  };
}

template <class T>
void window_pairs(const WinogradTiles& tiles, const void* images, std::size_t first_row, std::size_t rows,
                  unsigned* v) {
  transform_windows<T>(tiles, images, first_row, rows, into_pairs(tiles, v));
}

template <class Put>
void transform_results(const WinogradTiles& tiles, const float* m, std::size_t first_row, std::size_t rows,
                       const Put& put) {
  for_each_tile(tiles, first_row, rows,
                [&](std::size_t image, std::size_t row, std::size_t t, std::size_t at, std::size_t c) {
                  Matrix<4, 4> x;
                  for (std::size_t p = 0; p < 16; ++p) x[p / 4][p % 4] = m[p * tiles.apart + at];
                  const Matrix<2, 2> y = both_ways<2>(x, result);
                  for (std::size_t i = 0; i < 2; ++i)
                    for (std::size_t j = 0; j < 2; ++j)
                      if (2 * row + i < tiles.height && 2 * t + j < tiles.width)
                        put(pixel(tiles, image, 2 * row + i, 2 * t + j, c), y[i][j]);
                });
}

void winograd_results(const WinogradTiles& tiles, const float* m, std::size_t first_row, std::size_t rows,
                      float* images) {
  transform_results(tiles, m, first_row, rows, [&](std::size_t at, float value) { images[at] = value; });
}

void bfloat16_results(const WinogradTiles& tiles, const float* m, std::size_t first_row, std::size_t rows,
                      unsigned short* images) {
  transform_results(tiles, m, first_row, rows,
                    [&](std::size_t at, float value) { images[at] = round_bfloat16(value); });
}

template <class T, class Put>
void transform_gradients(const WinogradTiles& tiles, const T* images, std::size_t first_row, std::size_t rows,
                         const Put& put) {
  for_each_tile(tiles, first_row, rows,
                [&](std::size_t image, std::size_t row, std::size_t t, std::size_t at, std::size_t c) {
                  Matrix<2, 2> x{};
                  for (std::size_t i = 0; i < 2; ++i)
                    for (std::size_t j = 0; j < 2; ++j)
                      if (2 * row + i < tiles.height && 2 * t + j < tiles.width)
                        x[i][j] = value_of(images[pixel(tiles, image, 2 * row + i, 2 * t + j, c)]);
                  const Matrix<4, 4> y = both_ways<4>(x, gradient);
                  for (std::size_t p = 0; p < 16; ++p) put(p, at, y[p / 4][p % 4]);
                });
}

void winograd_gradients(const WinogradTiles& tiles, const float* images, std::size_t first_row,
                        std::size_t rows, float* e) {
  transform_gradients(tiles, images, first_row, rows,
                      [&](std::size_t p, std::size_t at, float value) { e[p * tiles.apart + at] = value; });
}

void gradient_pairs(const WinogradTiles& tiles, const unsigned short* images, std::size_t first_row,
                    std::size_t rows, unsigned* e) {
  transform_gradients(tiles, images, first_row, rows, into_pairs(tiles, e));
}

/// Calls put(element, term, lane, value).
template <class Put>
void transform_weights(std::size_t terms, std::size_t lanes, const float* g, bool turned, const Put& put) {
  for (std::size_t k = 0; k < terms; ++k)
    for (std::size_t l = 0; l < lanes; ++l) {
      Matrix<3, 3> x;
      for (std::size_t at = 0; at < 9; ++at)
        x[at / 3][at % 3] = g[(k * 9 + (turned ? 8 - at : at)) * lanes + l];
      const Matrix<4, 4> y = both_ways<4>(x, weights);
      for (std::size_t p = 0; p < 16; ++p) put(p, k, l, y[p / 4][p % 4]);
    }
}

void winograd_weights(std::size_t terms, std::size_t lanes, const float* g, bool turned, float* u) {
  transform_weights(terms, lanes, g, turned, [&](std::size_t p, std::size_t k, std::size_t l, float value) {
    u[(p * terms + k) * lanes + l] = value;
  });
}

void pair_weights(std::size_t terms, std::size_t lanes, const float* g, bool turned, unsigned* u) {
  transform_weights(terms, lanes, g, turned, [&](std::size_t p, std::size_t k, std::size_t l, float value) {
    unsigned& word = u[(p * (terms / 2) + k / 2) * lanes + l];
    const unsigned half = round_bfloat16(value);
    word = k % 2 == 0 ? half : (word & 0xFFFF) | half << 16;
  });
}

void winograd_weight_gradients(std::size_t terms, std::size_t lanes, const float* u, float* diff_weights) {
  for (std::size_t k = 0; k < terms; ++k)
    for (std::size_t l = 0; l < lanes; ++l) {
      Matrix<4, 4> x;
      for (std::size_t p = 0; p < 16; ++p) x[p / 4][p % 4] = u[(p * terms + k) * lanes + l];
      const Matrix<3, 3> y = both_ways<3>(x, weight_gradient);
      for (std::size_t at = 0; at < 9; ++at) diff_weights[(k * 9 + at) * lanes + l] = y[at / 3][at % 3];
    }
}

// One text for both: where the CPU has the instruction, it is used; calls of fma() take ten times as long.
#define QTRAIN_ALWAYS_INLINE inline __attribute__((always_inline))

QTRAIN_ALWAYS_INLINE void sum_products(const WinogradProduct& product, const float* v, const float* u,
                                       std::size_t tiles, float* m) {
  const std::size_t terms = product.terms, lanes = product.lanes;
  for (std::size_t p = 0; p < 16; ++p, v += product.src_apart, u += terms * lanes, m += product.dst_apart)
    for (std::size_t t = 0; t < tiles; ++t) {
      float* sums = m + t * lanes;
      for (std::size_t l = 0; l < lanes; ++l) sums[l] = 0;
      for (std::size_t k = 0; k < terms; ++k)
        for (std::size_t l = 0; l < lanes; ++l)
          sums[l] = __builtin_fmaf(v[t * terms + k], u[k * lanes + l], sums[l]);
    }
}

QTRAIN_ALWAYS_INLINE void sum_tiles(const WinogradProduct& product, const float* e, const float* v,
                                    std::size_t tiles, float* u) {
  const std::size_t terms = product.terms, lanes = product.lanes;
  for (std::size_t p = 0; p < 16; ++p, e += product.src_apart, v += product.dst_apart, u += terms * lanes)
    for (std::size_t t = 0; t < tiles; ++t)
      for (std::size_t k = 0; k < terms; ++k)
        for (std::size_t l = 0; l < lanes; ++l)
          u[k * lanes + l] = __builtin_fmaf(e[t * terms + k], v[t * lanes + l], u[k * lanes + l]);
}

void winograd_products(const WinogradProduct& product, const float* v, const float* u, std::size_t tiles,
                       float* m) {
  sum_products(product, v, u, tiles, m);
}
void winograd_sums(const WinogradProduct& product, const float* e, const float* v, std::size_t tiles,
                   float* u) {
  sum_tiles(product, e, v, tiles, u);
}

__attribute__((target("fma"))) void fused_products(const WinogradProduct& product, const float* v,
                                                   const float* u, std::size_t tiles, float* m) {
  sum_products(product, v, u, tiles, m);
}
__attribute__((target("fma"))) void fused_sums(const WinogradProduct& product, const float* e, const float* v,
                                               std::size_t tiles, float* u) {
  sum_tiles(product, e, v, tiles, u);
}

float plus_pair(float sum, unsigned x, unsigned y) {
  return plus(plus(sum, right_of(x), right_of(y)), left_of(x), left_of(y));
}

void pair_products(const WinogradProduct& product, const unsigned short* v, const unsigned* u,
                   std::size_t tiles, float* m) {
  const std::size_t pairs = product.terms / 2, lanes = product.lanes;
  for (std::size_t p = 0; p < 16; ++p, v += product.src_apart, u += pairs * lanes, m += product.dst_apart)
    for (std::size_t t = 0; t < tiles; ++t)
      for (std::size_t l = 0; l < lanes; ++l) {
        float sum = 0;
        for (std::size_t k = 0; k < pairs; ++k) {
          const unsigned short* x = v + (t * pairs + k) * 2;
          sum = plus_pair(sum, x[0] | static_cast<unsigned>(x[1]) << 16, u[k * lanes + l]);
        }
        m[t * lanes + l] = sum;
      }
}

void pair_sums(const WinogradProduct& product, const unsigned* e, const unsigned* v, std::size_t pairs,
               float* u) {
  const std::size_t terms = product.terms, lanes = product.lanes;
  for (std::size_t p = 0; p < 16; ++p, e += product.src_apart, v += product.dst_apart, u += terms * lanes)
    for (std::size_t k = 0; k < terms; ++k)
      for (std::size_t l = 0; l < lanes; ++l) {
        float& sum = u[k * lanes + l];
        sum = flushed(sum);
        for (std::size_t t = 0; t < pairs; ++t) sum = plus_pair(sum, e[t * terms + k], v[t * lanes + l]);
      }
}

}  // namespace

void fill_winograd_pairs(Kernels& set) {
  set.winograd_pair_weights = pair_weights;
  set.winograd_bfloat16_windows = bfloat16_windows;
  set.winograd_bfloat16_results = bfloat16_results;
  set.winograd_window_pairs = window_pairs<unsigned short>;
  set.winograd_unsigned_byte_window_pairs = window_pairs<unsigned char>;
  set.winograd_signed_byte_window_pairs = window_pairs<signed char>;
  set.winograd_gradient_pairs = gradient_pairs;
  set.winograd_pair_products = pair_products;
  set.winograd_pair_sums = pair_sums;
}

void fill_winograd(Kernels& set) {
  set.winograd_weights = winograd_weights;
  set.winograd_windows = winograd_windows<float>;
  set.winograd_unsigned_byte_windows = winograd_windows<unsigned char>;
  set.winograd_signed_byte_windows = winograd_windows<signed char>;
  set.winograd_products = multiplies_fused() ? fused_products : winograd_products;
  set.winograd_results = winograd_results;
  set.winograd_gradients = winograd_gradients;
  set.winograd_sums = multiplies_fused() ? fused_sums : winograd_sums;
  set.winograd_weight_gradients = winograd_weight_gradients;
}

}  // namespace qtrain::kernels::reference
