#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

/// Inputs of one tile: values x1, x2 and lane parameters a, b, c, d.
struct Tile {
  TileSize size;
  std::vector<float> x1, x2, a, b, c, d;
};

template <class Values>
Tile make_tile(TileSize size, const Values& values) {
  const std::size_t n = size.pixels * size.lanes;
  return {size,
          values(n, 1),
          values(n, 2),
          values(size.lanes, 3),
          values(size.lanes, 4),
          values(size.lanes, 5),
          values(size.lanes, 6)};
}

void affine(const Kernels& k, const Tile& t, const float* x1, const float*, float* y) {
  k.affine(x1, t.a.data(), t.b.data(), y, t.size.pixels, t.size.lanes);
}
void affine_add(const Kernels& k, const Tile& t, const float* x1, const float* x2, float* y) {
  k.affine_add(x1, t.a.data(), t.b.data(), x2, t.c.data(), t.d.data(), y, t.size.pixels, t.size.lanes);
}
void affine_pair(const Kernels& k, const Tile& t, const float* x1, const float* x2, float* y) {
  k.affine_pair(x1, x2, t.a.data(), t.b.data(), t.c.data(), y, t.size.pixels, t.size.lanes);
}
using Call = void (*)(const Kernels&, const Tile&, const float*, const float*, float*);

/// The reference's result, and that of each set with separate output and with either input as output.
bool all_sets_agree(Call call, const Tile& tile) {
  Guarded<float> x1(tile.x1), x2(tile.x2), expected(tile.x1.size());
  call(reference_kernels(), tile, x1.data(), x2.data(), expected.data());
  bool agree = true;
  for (const Kernels* set : available()) {
    Guarded<float> y(tile.x1.size()), y1(tile.x1), y2(tile.x2);
    call(*set, tile, x1.data(), x2.data(), y.data());
    call(*set, tile, y1.data(), x2.data(), y1.data());
    agree = agree && y.intact() && y1.intact() && same_bits(y.values(), expected.values()) &&
            same_bits(y1.values(), expected.values());
    if (call == affine) continue;
    call(*set, tile, x1.data(), y2.data(), y2.data());
    agree = agree && y2.intact() && same_bits(y2.values(), expected.values());
  }
  return agree;
}

}  // namespace

TEST_CASE("tile kernels: every set gives the reference's bits") {
  for (const TileSize size : tile_sizes()) {
    CAPTURE(size.pixels);
    CAPTURE(size.lanes);
    for (const Tile& tile : {make_tile(size, plain_values), make_tile(size, special_values)}) {
      CHECK(all_sets_agree(affine, tile));
      CHECK(all_sets_agree(affine_add, tile));
      CHECK(all_sets_agree(affine_pair, tile));
    }
  }
}

TEST_CASE("tile kernels: the equations, exact on small integers") {
  const Tile t = make_tile({37, 19}, integer_values);
  std::vector<float> y1(37 * 19), y2(37 * 19), y3(37 * 19);
  affine(reference_kernels(), t, t.x1.data(), nullptr, y1.data());
  affine_add(reference_kernels(), t, t.x1.data(), t.x2.data(), y2.data());
  affine_pair(reference_kernels(), t, t.x1.data(), t.x2.data(), y3.data());
  for (std::size_t i = 0; i < y1.size(); ++i) {
    const std::size_t l = i % 19;
    const double x1 = t.x1[i], x2 = t.x2[i];
    REQUIRE(y1[i] == x1 * t.a[l] + t.b[l]);
    REQUIRE(y2[i] == x1 * t.a[l] + t.b[l] + x2 * t.c[l] + t.d[l]);
    REQUIRE(y3[i] == x1 * t.a[l] + x2 * t.b[l] + t.c[l]);
  }
}

// (1 + e)^2 = 1 + 2e + e^2 rounds to 1 + 2e for e = 2^-12; a fused multiply-add would keep e^2.
TEST_CASE("tile kernels: products are rounded before they are added") {
  const float x = 1.0f + 0x1p-12f, minus = -(1.0f + 0x1p-11f);
  for (const Kernels* set : available()) {
    CAPTURE(set->isa);
    for (const std::size_t lanes : {1u, 3u, 16u}) {
      const std::vector<float> z(lanes * 20, x), a(lanes, x), b(lanes, minus), zero(lanes, 0.0f);
      std::vector<float> y(z.size(), 9.0f);
      set->affine(z.data(), a.data(), b.data(), y.data(), 20, lanes);
      CHECK(y == std::vector<float>(z.size(), 0.0f));
      set->affine_add(z.data(), a.data(), b.data(), z.data(), a.data(), b.data(), y.data(), 20, lanes);
      CHECK(y == std::vector<float>(z.size(), 0.0f));
      const std::vector<float> g(z.size(), 1.0f);
      set->affine_pair(g.data(), z.data(), b.data(), a.data(), zero.data(), y.data(), 20, lanes);
      CHECK(y == std::vector<float>(z.size(), 0.0f));
    }
  }
}

}  // namespace qtrain::kernels
