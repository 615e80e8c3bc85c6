#pragma once
#include <vector>

#include "kernels/geometry.hpp"

// What the tests of Winograd's tiles share.

namespace qtrain::kernels {

using Geometry = ConvolutionGeometry;

inline Geometry geometry(std::size_t height, std::size_t width, std::size_t channels, std::size_t outputs) {
  return {.height = height,
          .width = width,
          .channels = channels,
          .outputs = outputs,
          .kernel = 3,
          .stride = 1,
          .padding = 1};
}

/// Odd and even heights, the widths given, channels and outputs of one vector to three, more tiles than are
/// taken at once, and rows that have as many.
inline std::vector<Geometry> winograd_geometries(const std::vector<std::size_t>& widths) {
  std::vector<Geometry> all;
  for (const std::size_t height : {1u, 2u, 3u, 8u})
    for (const std::size_t width : widths) all.push_back(geometry(height, width, 16, 32));
  for (const std::size_t channels : {16u, 32u, 48u})
    for (const std::size_t outputs : {16u, 32u, 48u}) all.push_back(geometry(5, 4, channels, outputs));
  all.push_back(geometry(21, 19, 16, 16));
  all.push_back(geometry(3, 131, 16, 16));
  return all;
}

}  // namespace qtrain::kernels
