#include <algorithm>
#include <bit>

#include "kernels/reference/add_terms.hpp"
#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

constexpr std::size_t kChunk = 64;  ///< values of a tree sum done at a time

void moments(const float* z, const float* shift, double* sum, double* squares, std::size_t pixels,
             std::size_t lanes) {
  for (std::size_t l = 0; l < lanes; ++l) {
    const auto deviation = [&](std::size_t p) { return z[p * lanes + l] - shift[l]; };
    add_terms(sum[l], pixels, deviation);
    add_terms(squares[l], pixels, [&](std::size_t p) { return deviation(p) * deviation(p); });
  }
}

void products(const float* g, const float* z, const float* shift, double* sum, double* products,
              std::size_t pixels, std::size_t lanes) {
  for (std::size_t l = 0; l < lanes; ++l) {
    add_terms(sum[l], pixels, [&](std::size_t p) { return g[p * lanes + l]; });
    add_terms(products[l], pixels,
              [&](std::size_t p) { return g[p * lanes + l] * (z[p * lanes + l] - shift[l]); });
  }
}

void lane_sums(const float* g, double* sum, std::size_t pixels, std::size_t lanes) {
  for (std::size_t l = 0; l < lanes; ++l) {
    add_terms(sum[l], pixels, [&](std::size_t p) { return g[p * lanes + l]; });
  }
}

void window_sums(const float* x, float low, float high, const float* g, double* sums, std::size_t size) {
  constexpr std::size_t kLanes = 16;
  double plain[kLanes] = {}, products[kLanes] = {};
  for (std::size_t i = 0; i < size; ++i) {
    if (!(low < x[i] && x[i] <= high)) continue;
    plain[i % kLanes] += static_cast<double>(g[i]);
    products[i % kLanes] += static_cast<double>(g[i]) * static_cast<double>(x[i]);
  }
  for (const double sum : plain) sums[0] += sum;
  for (const double sum : products) sums[1] += sum;
}

/// total[i] = tree sum of x[k][first + i] for i < size <= kChunk. Adding neighbours round by round is this
/// recursion: the largest power of two below `count` on the left, the rest on the right.
void tree(const float* const* x, std::size_t count, std::size_t first, std::size_t size, float* total) {
  if (count == 1) {
    std::copy_n(x[0] + first, size, total);
    return;
  }
  const std::size_t left = std::bit_floor(count - 1);
  float right[kChunk];
  tree(x, left, first, size, total);
  tree(x + left, count - left, first, size, right);
  for (std::size_t i = 0; i < size; ++i) total[i] += right[i];
}

void tree_sum(const float* const* x, std::size_t count, float scale, float* y, std::size_t size) {
  for (std::size_t first = 0; first < size; first += kChunk) {
    const std::size_t chunk = std::min(kChunk, size - first);
    float total[kChunk];
    tree(x, count, first, chunk, total);
    for (std::size_t i = 0; i < chunk; ++i) y[first + i] = scale * total[i];
  }
}

}  // namespace

void fill_sums(Kernels& set) {
  set.moments = moments;
  set.products = products;
  set.lane_sums = lane_sums;
  set.window_sums = window_sums;
  set.tree_sum = tree_sum;
}

}  // namespace qtrain::kernels::reference
