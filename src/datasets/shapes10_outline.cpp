#include "datasets/shapes10_outline.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace qtrain::datasets::shapes10 {
namespace {

constexpr float kSin60 = 0.8660254f;
// cos and sin of 72 and 144 degrees, for the star.
constexpr float kCos72 = 0.3090170f, kSin72 = 0.9510565f, kCos144 = -0.8090170f, kSin144 = 0.5877853f;

/// Disc of radius r around (x, 0): |p| - r is (|p|^2 - r^2) / 2r to first order.
float disc(float u, float v, float x, float r) { return ((u - x) * (u - x) + v * v - r * r) / (2 * r); }

float box(float u, float v, float half_width, float half_height) {
  return std::max(std::abs(u) - half_width, std::abs(v) - half_height);
}

float triangle(float u, float v) {
  return std::max({v, kSin60 * u - 0.5f * v, -kSin60 * u - 0.5f * v}) - 0.5f;
}

float hexagon(float u, float v) {
  const float side = 0.5f * std::abs(u) + kSin60 * std::abs(v);
  return std::max(std::abs(u), side) - 0.82f;
}

/// A point lies in a pentagram if at most one of the five lines that draw it separates it from the centre.
float star(float u, float v) {
  const float sides[] = {u, kCos72 * u + kSin72 * v, kCos72 * u - kSin72 * v, kCos144 * u + kSin144 * v,
                         kCos144 * u - kSin144 * v};
  float largest = sides[0], second = -2;
  for (int i = 1; i < 5; ++i) {
    second = std::max(second, std::min(largest, sides[i]));
    largest = std::max(largest, sides[i]);
  }
  return std::max(second - kCos72, largest - 1.0f);
}

/// Two squares that touch at the centre, where u v > 0.
float checker(float u, float v) {
  const float inner = std::min(std::abs(u), std::abs(v));
  return std::max(box(u, v, 0.85f, 0.85f), u * v > 0 ? -inner : inner);
}

}  // namespace

float edge_distance(Outline outline, float u, float v) {
  switch (outline) {
    case Outline::disc:
      return disc(u, v, 0, 0.88f);
    case Outline::square:
      return box(u, v, 0.76f, 0.76f);
    case Outline::triangle:
      return triangle(u, v);
    case Outline::ring:
      return std::max(disc(u, v, 0, 0.95f), -disc(u, v, 0, 0.5f));
    case Outline::cross:
      return std::min(box(u, v, 0.95f, 0.3f), box(u, v, 0.3f, 0.95f));
    case Outline::star:
      return star(u, v);
    case Outline::crescent:
      return std::max(disc(u, v, 0, 0.95f), -disc(u, v, 0.45f, 0.75f));
    case Outline::hexagon:
      return hexagon(u, v);
    case Outline::bars: {
      const float nearest = std::min(std::abs(u), std::abs(std::abs(u) - 0.68f));
      return std::max(nearest - 0.19f, std::abs(v) - 0.87f);
    }
    case Outline::checker:
      return checker(u, v);
  }
  QTRAIN_CHECK(false, "outline {}", static_cast<int>(outline));
}

}  // namespace qtrain::datasets::shapes10
