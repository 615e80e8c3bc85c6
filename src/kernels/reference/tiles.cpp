#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

void affine(const float* z, const float* a, const float* b, float* y, std::size_t pixels, std::size_t lanes) {
  for (std::size_t p = 0; p < pixels; ++p) {
    for (std::size_t l = 0; l < lanes; ++l) {
      const std::size_t i = p * lanes + l;
      y[i] = z[i] * a[l] + b[l];
    }
  }
}

void affine_add(const float* z, const float* a, const float* b, const float* r, const float* c,
                const float* d, float* y, std::size_t pixels, std::size_t lanes) {
  for (std::size_t p = 0; p < pixels; ++p) {
    for (std::size_t l = 0; l < lanes; ++l) {
      const std::size_t i = p * lanes + l;
      y[i] = (z[i] * a[l] + b[l]) + (r[i] * c[l] + d[l]);
    }
  }
}

void affine_pair(const float* g, const float* z, const float* p, const float* q, const float* r, float* y,
                 std::size_t pixels, std::size_t lanes) {
  for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
    for (std::size_t l = 0; l < lanes; ++l) {
      const std::size_t i = pixel * lanes + l;
      y[i] = (g[i] * p[l] + z[i] * q[l]) + r[l];
    }
  }
}

}  // namespace

void fill_tiles(Kernels& set) {
  set.affine = affine;
  set.affine_add = affine_add;
  set.affine_pair = affine_pair;
}

}  // namespace qtrain::kernels::reference
