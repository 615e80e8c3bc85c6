#pragma once

namespace qtrain::datasets::shapes10 {

/// The classes; the value is the label.
enum class Outline { disc, square, triangle, ring, cross, star, crescent, hexagon, bars, checker };
inline constexpr int kOutlines = 10;

/// Distance from the outline's edge at (u, v), negative inside, exact to first order near the edge; the
/// outline fills about the unit circle. Only additions, products, comparisons: the same bits on every
/// machine.
float edge_distance(Outline outline, float u, float v);

}  // namespace qtrain::datasets::shapes10
