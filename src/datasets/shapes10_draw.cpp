// One image of shapes10, drawn in this order, everything random:
//   background   two colours along a wave (gradient, stripes or checks)
//   clutter      strokes and small discs
//   the shape    one outline of any rotation, size, stretch and place, in two colours along a wave
//   occlusion    sometimes strokes across it
//   camera       a gradient of light, and noise
// Colours, textures and clutter are drawn alike for all classes, so that only the outline tells them apart.
// Numbers are drawn one statement at a time, or in braces: compilers differ in the order in which they
// evaluate arguments.
#include "datasets/shapes10_draw.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "datasets/shapes10_canvas.hpp"
#include "datasets/shapes10_outline.hpp"

namespace qtrain::datasets::shapes10 {
namespace {

constexpr std::uint64_t kSeed = 10;
constexpr float kLeastContrast = 0.3f;  ///< between shape and background, in the channel that differs most

struct Direction {
  float x, y;
};

/// Uniform on the unit circle: a point of the disc, drawn by rejection, over its length.
Direction random_direction(RandomStream& random) {
  for (;;) {
    const float x = random.uniform(-1, 1), y = random.uniform(-1, 1), square = x * x + y * y;
    if (square > 1 || square < 1e-4f) continue;
    const float length = std::sqrt(square);
    return {x / length, y / length};
  }
}

Colour random_colour(RandomStream& random) {
  const float red = random.uniform(), green = random.uniform(), blue = random.uniform();
  return {red, green, blue};
}

float contrast(const Colour& a, const Colour& b) {
  float most = 0;
  for (std::size_t c = 0; c < 3; ++c) most = std::max(most, std::abs(a[c] - b[c]));
  return most;
}

/// `from`, moved by a share in [0, most) of the way to a random colour.
Colour towards_random(const Colour& from, RandomStream& random, float most) {
  const Colour to = random_colour(random);
  const float share = random.uniform(0, most);
  Colour colour;
  for (std::size_t c = 0; c < 3; ++c) colour[c] = from[c] + share * (to[c] - from[c]);
  return colour;
}

/// A gradient (less than one period across the canvas), stripes, or checks, one in three each.
Wave random_wave(RandomStream& random) {
  const std::uint32_t kind = random.below(3);
  const Direction along = random_direction(random);
  const float frequency = kind == 0 ? random.uniform(0.005f, 0.02f) : random.uniform(0.06f, 0.22f);
  const float ratio = random.uniform(0.7f, 1.4f);
  Wave wave;
  wave.frequency_x = {frequency * along.x, -frequency * ratio * along.y};
  wave.frequency_y = {frequency * along.y, frequency * ratio * along.x};
  wave.phase = {16 + random.uniform(), 16 + random.uniform()};
  if (kind != 2) {  // a constant second factor: tri(1/2) = -1
    wave.frequency_x[1] = wave.frequency_y[1] = 0;
    wave.phase[1] = 16.5f;
  }
  wave.sharpness = random.uniform(0.5f, 2.5f);
  return wave;
}

void draw_stroke(Canvas& canvas, RandomStream& random, float near_x, float near_y, float spread) {
  const Direction along = random_direction(random);
  const float x0 = near_x + random.uniform(-spread, spread), y0 = near_y + random.uniform(-spread, spread);
  const float half_length = random.uniform(2, 8), half_width = random.uniform(0.4f, 1.0f);
  Paint paint{.low = random_colour(random), .high = {}, .wave = {}};
  paint.high = paint.low;
  canvas.draw(x0, y0, half_length + 2, paint, [=](float x, float y) {
    const float a = (x - x0) * along.x + (y - y0) * along.y, b = (y - y0) * along.x - (x - x0) * along.y;
    return 0.5f + std::min(half_length - std::abs(a), half_width - std::abs(b));
  });
}

void draw_dot(Canvas& canvas, RandomStream& random) {
  const float x0 = random.uniform(0, kSide), y0 = random.uniform(0, kSide), radius = random.uniform(1, 2.5f);
  Paint paint{.low = random_colour(random), .high = {}, .wave = {}};
  paint.high = paint.low;
  canvas.draw(x0, y0, radius + 2, paint, [=](float x, float y) {
    return 0.5f - radius * edge_distance(Outline::disc, (x - x0) / radius, (y - y0) / radius);
  });
}

void draw_background(Canvas& canvas, RandomStream& random, const Paint& background) {
  std::fill_n(&canvas.planes[0][0][0], kImageBytes, 0.0f);
  canvas.draw(kSide / 2, kSide / 2, kSide, background, [](float, float) { return 1.0f; });
  for (std::uint32_t strokes = 1 + random.below(3); strokes > 0; --strokes)
    draw_stroke(canvas, random, kSide / 2, kSide / 2, kSide / 2);
  for (std::uint32_t dots = random.below(3); dots > 0; --dots) draw_dot(canvas, random);
}

/// A paint that stands out from the background: its main colour from both of the background's.
Paint shape_paint(RandomStream& random, const Paint& background) {
  Paint paint{.low = random_colour(random), .high = {}, .wave = random_wave(random)};
  while (contrast(paint.low, background.low) < kLeastContrast ||
         contrast(paint.low, background.high) < kLeastContrast)
    paint.low = random_colour(random);
  paint.high = towards_random(paint.low, random, 0.3f);
  return paint;
}

void draw_shape(Canvas& canvas, RandomStream& random, Outline outline, const Paint& background) {
  const Paint paint = shape_paint(random, background);
  const float radius = random.uniform(8, 13), margin = 0.85f * radius;
  const float x0 = random.uniform(margin, kSide - margin), y0 = random.uniform(margin, kSide - margin);
  const float stretch = random.uniform(0.85f, 1.18f);
  const Direction axis = random_direction(random);
  canvas.draw(x0, y0, 1.6f * radius + 1, paint, [=](float x, float y) {
    const float u = ((x - x0) * axis.x + (y - y0) * axis.y) / (radius * stretch);
    const float v = ((y - y0) * axis.x - (x - x0) * axis.y) * stretch / radius;
    return 0.5f - radius * edge_distance(outline, u, v);
  });
  for (std::uint32_t strokes = random.below(2); strokes > 0; --strokes)
    draw_stroke(canvas, random, x0, y0, radius);
}

/// Light from 1 - tilt to 1 + tilt across the image, noise of a strength of its own (the sum of two bytes:
/// triangular).
void photograph(const Canvas& canvas, RandomStream& random, std::uint8_t* pixels) {
  const Direction light = random_direction(random);
  const float tilt = random.uniform(0, 0.3f) / (kSide / 2), noise = random.uniform(0.02f, 0.18f) / 255.0f;
  for (const auto& plane : canvas.planes)
    for (int row = 0; row < kSide; ++row)
      for (int column = 0; column < kSide; column += 2) {
        const std::uint32_t bits = random.bits();
        for (int i = 0; i < 2; ++i) {
          const std::uint32_t two = bits >> (16 * i);
          const float grain = static_cast<float>(static_cast<int>((two & 255) + (two >> 8 & 255)) - 255);
          const float x = static_cast<float>(column + i - kSide / 2), y = static_cast<float>(row - kSide / 2);
          const float value =
              plane[row][column + i] * (1 + tilt * (x * light.x + y * light.y)) + noise * grain;
          *pixels++ = static_cast<std::uint8_t>(255 * std::clamp(value, 0.0f, 1.0f) + 0.5f);
        }
      }
}

}  // namespace

std::uint8_t draw(std::uint32_t split, std::uint32_t index, std::uint8_t* pixels) {
  RandomStream random(kSeed, Purpose::generated_data, split, index);
  const auto label = static_cast<std::uint8_t>(index % kOutlines);
  Paint background{.low = random_colour(random), .high = {}, .wave = random_wave(random)};
  background.high = towards_random(background.low, random, 0.5f);
  Canvas canvas;
  draw_background(canvas, random, background);
  draw_shape(canvas, random, static_cast<Outline>(label), background);
  photograph(canvas, random, pixels);
  return label;
}

}  // namespace qtrain::datasets::shapes10
