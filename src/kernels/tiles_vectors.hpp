#pragma once
#include "kernels/vector_loops.hpp"

// The kernels of tiles, by vectors: see vector_loops.hpp.

namespace qtrain::kernels {
namespace {

/// y = op(x...) over a tile; make(column) builds op, column(a) being the lane parameters `a` of the column at
/// hand.
template <class Make, class... Input>
void map_tile(const Make& make, float* y, size_t pixels, size_t lanes, const Input*... x) {
  if (lanes == 1) {
    map_flat(make([](const float* a) { return all(*a); }), y, pixels, x...);
    return;
  }
  for_each_column(lanes, [&](auto at, size_t l) {
    map_rows(at, make([&](const float* a) { return at.load(a + l); }), y + l, pixels, lanes, (x + l)...);
  });
}

void affine(const float* z, const float* a, const float* b, float* y, size_t pixels, size_t lanes) {
  const auto make = [&](auto column) {
    return [a = column(a), b = column(b)](Vector vz) { return vz * a + b; };
  };
  map_tile(make, y, pixels, lanes, z);
}

void affine_add(const float* z, const float* a, const float* b, const float* r, const float* c,
                const float* d, float* y, size_t pixels, size_t lanes) {
  const auto make = [&](auto column) {
    return [a = column(a), b = column(b), c = column(c), d = column(d)](Vector vz, Vector vr) {
      return (vz * a + b) + (vr * c + d);
    };
  };
  map_tile(make, y, pixels, lanes, z, r);
}

void affine_pair(const float* g, const float* z, const float* p, const float* q, const float* r, float* y,
                 size_t pixels, size_t lanes) {
  const auto make = [&](auto column) {
    return
        [p = column(p), q = column(q), r = column(r)](Vector vg, Vector vz) { return (vg * p + vz * q) + r; };
  };
  map_tile(make, y, pixels, lanes, g, z);
}

inline void fill(Kernels& set) {
  set.affine = affine;
  set.affine_add = affine_add;
  set.affine_pair = affine_pair;
}

}  // namespace
}  // namespace qtrain::kernels
