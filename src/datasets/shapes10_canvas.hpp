#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace qtrain::datasets::shapes10 {

inline constexpr int kSide = 32;
inline constexpr std::size_t kImageBytes = 3 * kSide * kSide;

using Colour = std::array<float, 3>;  ///< red, green, blue in [0, 1]

/// A wave over the plane with values in [0, 1]: w = 1/2 + clamp(sharpness * tri(t1) * tri(t2), +-1/2), t = x
/// f_x + y f_y
/// + phase, tri the triangle wave of period 1 and range [-1, 1]. Low frequencies make gradients, high ones
/// stripes, two of them blotches and checks. Phases must keep t positive on the canvas.
struct Wave {
  std::array<float, 2> frequency_x{}, frequency_y{}, phase{};
  float sharpness = 0;
  float at(float x, float y) const;
};

/// Colours from `low` to `high`, following the wave.
struct Paint {
  Colour low{}, high{};
  Wave wave;
};

/// An image being drawn, painter's order; pixel (x, y) is centred at (x + 1/2, y + 1/2).
struct Canvas {
  float planes[3][kSide][kSide];

  /// Blends `paint` over the pixels of the square around (centre_x, centre_y), `cover(x, y)` their opacity,
  /// cut to [0, 1].
  template <class Cover>
  void draw(float centre_x, float centre_y, float reach, const Paint& paint, const Cover& cover) {
    const auto start = [reach](float centre) {
      return std::clamp(static_cast<int>(centre - reach), 0, kSide);
    };
    const auto stop = [reach](float centre) {
      return std::clamp(static_cast<int>(centre + reach) + 1, 0, kSide);
    };
    for (int row = start(centre_y); row < stop(centre_y); ++row)
      for (int column = start(centre_x); column < stop(centre_x); ++column) {
        const float x = static_cast<float>(column) + 0.5f, y = static_cast<float>(row) + 0.5f;
        const float opacity = std::min(cover(x, y), 1.0f);
        if (opacity > 0) blend(row, column, opacity, paint, paint.wave.at(x, y));
      }
  }

 private:
  void blend(int row, int column, float opacity, const Paint& paint, float wave) {
    for (std::size_t c = 0; c < 3; ++c) {
      float& pixel = planes[c][row][column];
      pixel += opacity * (paint.low[c] + wave * (paint.high[c] - paint.low[c]) - pixel);
    }
  }
};

inline float Wave::at(float x, float y) const {
  float product = sharpness;
  for (std::size_t i = 0; i < 2; ++i) {
    const float t = x * frequency_x[i] + y * frequency_y[i] + phase[i];
    const float cycle = t - static_cast<float>(static_cast<int>(t));  // in [0, 1)
    product *= 4 * std::abs(cycle - 0.5f) - 1;
  }
  return 0.5f + std::clamp(product, -0.5f, 0.5f);
}

}  // namespace qtrain::datasets::shapes10
