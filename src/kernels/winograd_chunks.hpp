#pragma once
#include <algorithm>

#include "base/error.hpp"
#include "kernels/winograd.hpp"

// How the classes over Winograd's tiles cut images into chunks.

namespace qtrain::kernels {

/// Tiles at once, as many rows of them as make about so many: what they take stays in the second cache, and
/// often in the first.
inline constexpr std::size_t kTilesAtOnce = 64;
/// Elements are set this much off the powers of two by which caches find their lines.
inline constexpr std::size_t kWinogradOffset = 16;
inline constexpr std::size_t kWinogradElements = 16;

inline WinogradTiles tiles_of(const ConvolutionGeometry& g, std::size_t channels) {
  QTRAIN_CHECK(has_winograd(g), "a convolution {} x {} of stride {} has no Winograd tiles", g.kernel,
               g.kernel, g.stride);
  WinogradTiles tiles{};
  tiles.height = g.height;
  tiles.width = g.width;
  tiles.channels = channels;
  tiles.rows = (g.height + 1) / 2;
  tiles.columns = (g.width + 1) / 2;
  return tiles;
}

inline std::size_t rows_at_once(const WinogradTiles& tiles) {
  return std::max<std::size_t>(1, kTilesAtOnce / tiles.columns);
}

inline std::size_t apart(const WinogradTiles& tiles, std::size_t rows) {
  return rows * tiles.columns * tiles.channels + kWinogradOffset;
}

/// Calls work(first row, rows) for all rows of tiles of the images.
template <class Work>
void in_chunks(std::size_t rows, std::size_t at_once, const Work& work) {
  for (std::size_t first = 0; first < rows; first += at_once) work(first, std::min(at_once, rows - first));
}

}  // namespace qtrain::kernels
