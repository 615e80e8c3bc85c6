// Local response normalization: every set against the reference, the reference against the equations.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

constexpr float kBias = 1, kAlpha = 0.05f;

std::vector<float> forward(const Kernels& set, const std::vector<float>& values, TileSize size,
                           std::size_t radius) {
  Guarded<float> x(values), y(values.size()), scratch(size.lanes + 2 * radius);
  set.response_norm(x.data(), kBias, kAlpha, radius, scratch.data(), y.data(), size.pixels, size.lanes);
  set.response_norm(x.data(), kBias, kAlpha, radius, scratch.data(), x.data(), size.pixels, size.lanes);
  CHECK((x.intact() && y.intact() && scratch.intact() && same_bits(x.values(), y.values())));
  return y.values();
}

std::vector<float> backward(const Kernels& set, const std::vector<float>& values,
                            const std::vector<float>& gradient, TileSize size, std::size_t radius) {
  Guarded<float> x(values), g(gradient), d(values.size()), scratch(2 * (size.lanes + 2 * radius));
  set.response_norm_backward(x.data(), g.data(), kBias, kAlpha, radius, scratch.data(), d.data(), size.pixels,
                             size.lanes);
  CHECK((d.intact() && scratch.intact()));
  return d.values();
}

/// Calls visit(j) for the lanes of the window around lane l.
template <class Visit>
void for_each_neighbour(std::size_t l, std::size_t radius, std::size_t lanes, const Visit& visit) {
  for (std::size_t j = l < radius ? 0 : l - radius; j <= std::min(l + radius, lanes - 1); ++j) visit(j);
}

/// n of every lane of one pixel, in double.
std::vector<double> norms(const float* x, std::size_t radius, std::size_t lanes) {
  std::vector<double> n(lanes, static_cast<double>(kBias));
  for (std::size_t l = 0; l < lanes; ++l)
    for_each_neighbour(l, radius, lanes, [&](std::size_t j) {
      n[l] += static_cast<double>(kAlpha) * static_cast<double>(x[j]) * static_cast<double>(x[j]);
    });
  return n;
}

}  // namespace

TEST_CASE("response_norm: every set gives the reference's bits") {
  for (const TileSize size : tile_sizes()) {
    if (size.pixels > 65) continue;
    for (const std::size_t radius : {0u, 1u, 4u, 20u}) {
      CAPTURE(size.pixels);
      CAPTURE(size.lanes);
      CAPTURE(radius);
      for (const auto values : {plain_values, special_values}) {
        const std::vector<float> x = values(size.pixels * size.lanes, 1);
        const std::vector<float> g = values(size.pixels * size.lanes, 2);
        const std::vector<float> y = forward(reference_kernels(), x, size, radius);
        const std::vector<float> d = backward(reference_kernels(), x, g, size, radius);
        for (const Kernels* set : available()) {
          CHECK(same_bits(forward(*set, x, size, radius), y));
          CHECK(same_bits(backward(*set, x, g, size, radius), d));
        }
      }
    }
  }
}

// y_l = x_l n_l^-3/4; dL/dx_l = g_l n_l^-3/4 - 2 (3/4) alpha x_l sum_j g_j x_j n_j^-7/4.
TEST_CASE("response_norm: the equations in double, forward to 3e-7, backward to 1e-6 of the largest term") {
  for (const std::size_t lanes : {1u, 3u, 8u, 17u, 19u, 64u, 70u})
    for (const std::size_t radius : {0u, 2u, 4u}) {
      CAPTURE(lanes);
      CAPTURE(radius);
      const TileSize size{11, lanes};
      const std::vector<float> x = plain_values(11 * lanes, 1), g = plain_values(11 * lanes, 2);
      const std::vector<float> y = forward(reference_kernels(), x, size, radius);
      const std::vector<float> d = backward(reference_kernels(), x, g, size, radius);
      for (std::size_t p = 0; p < 11; ++p) {
        const float* xp = x.data() + p * lanes;
        const float* gp = g.data() + p * lanes;
        const std::vector<double> n = norms(xp, radius, lanes);
        for (std::size_t l = 0; l < lanes; ++l) {
          const double direct = gp[l] * std::pow(n[l], -0.75);
          double sum = 0, largest = std::abs(direct);
          for_each_neighbour(l, radius, lanes, [&](std::size_t j) {
            const double term = 1.5 * kAlpha * xp[l] * gp[j] * xp[j] * std::pow(n[j], -1.75);
            sum += term;
            largest = std::max(largest, std::abs(term));
          });
          const double expected = xp[l] * std::pow(n[l], -0.75);
          CHECK(std::abs(y[p * lanes + l] - expected) <= 3e-7 * std::abs(expected));
          CHECK(std::abs(d[p * lanes + l] - (direct - sum)) <= 1e-6 * largest);
        }
      }
    }
}

}  // namespace qtrain::kernels
