#pragma once
#include <algorithm>
#include <vector>

#include "engine/steps.hpp"
#include "kernels/passes.hpp"

/// How elementwise passes go over a shard: tile by tile, so that what they make and what they make it of stay
/// in the first cache.
namespace qtrain::engine {

constexpr std::size_t kTileSize = 512;  ///< floats

inline std::size_t tile_pixels(const Layout& layout) {
  return std::max<std::size_t>(1, kTileSize / layout.lanes);
}

/// A run of pixels of one channel block.
struct Tile {
  std::size_t offset;   ///< first value in the tensor
  std::size_t channel;  ///< first lane's
  std::size_t pixels;
};

/// Calls visit(tile) over the tensor in memory order; with one block, images run on as pixels.
template <class Visit>
void for_each_tile(const Layout& layout, Visit&& visit) {
  const bool merge = layout.blocks == 1;
  const std::size_t images = merge ? 1 : layout.images;
  const std::size_t pixels = merge ? layout.pixels * layout.images : layout.pixels;
  const std::size_t step = tile_pixels(layout);
  std::size_t offset = 0;
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t b = 0; b < layout.blocks; ++b) {
      const std::size_t channel = b * layout.lanes;
      for (std::size_t p = 0; p < pixels; p += step) {
        const Tile tile{offset, channel, std::min(step, pixels - p)};
        visit(tile);
        offset += tile.pixels * layout.lanes;
      }
    }
}

std::vector<TensorId> tensors_of(const std::vector<Operand>& operands);
std::vector<TensorId> tensors_of(const std::vector<Stored>& tensors);
std::vector<TensorId> joined(std::vector<TensorId> x, const std::vector<TensorId>& y);

/// Where a tile of the tensor begins.
std::byte* place(const RunContext& context, const Stored& x, const Tile& tile);

/// Has the tensor's next tile brought near while the caller works on this one.
void fetch_next_to_write(const Stored& x, const RunContext& context, const Tile& tile, std::size_t lanes);
/// The tensor's values over one tile: in place, or as floats in `scratch`. The next tile is fetched
/// meanwhile.
const float* values_of(const Stored& x, const RunContext& context, const Tile& tile, std::size_t lanes,
                       float* scratch);
/// Where values_of has left them.
const float* loaded(const Stored& x, const RunContext& context, const Tile& tile, const float* scratch);

/// Four tiles of scratch: a result, each operand as floats, and a gradient.
struct Scratch {
  float* y;
  std::size_t size;
  Scratch(float* tiles, const Layout& layout) : y(tiles), size(tile_pixels(layout) * layout.lanes) {}
  Scratch(float* tiles, std::size_t tile_size) : y(tiles), size(tile_size) {}
  float* operand(std::size_t k) const { return y + (k + 1) * size; }
  float* gradient() const { return y + 3 * size; }
};

/// Whether kernels::passes are there and take the tensors of such a layout.
bool has_passes(const std::vector<Operand>& operands, const Layout& layout);
bool has_passes(const std::vector<Stored>& tensors, const Layout& layout);
/// A tensor as passes take it. The next tile is fetched meanwhile.
kernels::PassSource pass_source(const Stored& x, const RunContext& context, const Tile& tile,
                                std::size_t lanes);
/// The rows of a product lie in `scratch`, as 16-bit integers if they fit.
kernels::PassOperand pass_operand(const Operand& operand, const RunContext& context, const Tile& tile,
                                  std::size_t lanes, const float* scratch);
kernels::PassValues pass_values(Storage storage);

/// y = sum of the operands' affine maps over one tile, after values_of of each into its scratch; the rows of
/// a product lie there already.
void combine(const std::vector<Operand>& operands, const RunContext& context, const Tile& tile,
             std::size_t lanes, const Scratch& scratch, float* y);

}  // namespace qtrain::engine
