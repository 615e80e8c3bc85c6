#pragma once
#include <stddef.h>
#include <stdint.h>

#include "kernels/bit_planes.hpp"
#include "kernels/unrolled.hpp"

// What the bit-plane convolutions of avx2/ and avx512/ share, for their sources alone: how images are cut
// into tiles. Everything has internal linkage, so no code compiled there can serve a caller elsewhere.
//
// A tile is one vector of outputs by up to 8 units of pixels in a row. A lane of 32 bits is one output and
// one pixel, or, with words of 16 bits, one output and two neighbouring pixels, one in either half: their
// words are neighbours in memory, so one 32-bit broadcast serves both. Sums of 16 bits are chosen only where
// they cannot overflow.

namespace qtrain::kernels {
namespace {

constexpr size_t kMostUnits = 8;  ///< lanes' worth of pixels in a tile
constexpr size_t kBlock = 16;     ///< outputs whose weights lie together
constexpr size_t kUnitBytes = 4;  ///< of packed words

/// What a tile needs besides its column: of the term, of the vector of outputs, of the rows.
struct TileRows {
  const size_t* word_offsets;
  size_t word_count;
  const PlaneProduct* products;
  size_t product_count;
  const size_t* column_classes;
  size_t width, outputs;
  float factor;

  const uint32_t* signs;
  const uint32_t* masks;
  const float* scales;    ///< null: 1
  size_t vector_outputs;  ///< those that there are
  bool add;

  size_t rows;
  const unsigned char* corner;  ///< of the first row's window of column 0
  size_t corner_step;           ///< bytes from a row to the next
  const float* bias;
  const size_t* row_classes;
  unsigned char* dst;  ///< of the first row's column 0, of whatever the tile writes
  size_t dst_step;
  const unsigned char* added;  ///< of the first row's column 0; null: none

  const BitThresholds* thresholds;
  size_t output;  ///< the vector's first
};

/// What tiles write, and from what besides the product.
struct Target {
  unsigned char* dst;
  size_t value_bytes;
  const BitThresholds* thresholds = nullptr;
  const unsigned char* added = nullptr;
};

/// Computes a number of units of pixels from column x on, in every row.
using Tile = void (*)(const TileRows& rows, size_t x);

/// The tiles of one kind of lane.
struct Tiles {
  size_t pixels;                                ///< a unit
  size_t outputs;                               ///< a vector; divides kBlock
  Tile binary[kMostUnits], masked[kMostUnits];  ///< of 1 to 8 units
};

/// Numbers of units, 1 to kMostUnits.
template <size_t... kUnits>
struct Units {};
using AllUnits = Units<1, 2, 3, 4, 5, 6, 7, 8>;

/// All of TileOf::kTile<masked, units>.
template <class TileOf, size_t... kUnits>
constexpr Tiles list_tiles(size_t pixels, size_t outputs, Units<kUnits...> /*units*/) {
  return {.pixels = pixels,
          .outputs = outputs,
          .binary = {TileOf::template kTile<false, kUnits>...},
          .masked = {TileOf::template kTile<true, kUnits>...}};
}

/// A row cut into tiles of about the same size: the first `large` of `size` units, the others one less.
struct Cut {
  size_t count, large, size;
};

Cut cut_row(size_t width, size_t unit_pixels) {
  const size_t units = (width + unit_pixels - 1) / unit_pixels;
  const size_t count = (units + kMostUnits - 1) / kMostUnits, size = (units + count - 1) / count;
  return {count, count - (count * size - units), size};
}

void run_tiles(const TileRows& rows, const Tile* tiles, size_t unit_pixels) {
  const Cut cut = cut_row(rows.width, unit_pixels);
  size_t x = 0;
  for (size_t i = 0; i < cut.count; ++i) {
    const size_t units = i < cut.large ? cut.size : cut.size - 1;
    tiles[units - 1](rows, x);
    x += units * unit_pixels;
  }
}

/// Rows of one image and one vector of outputs, all terms.
void run_vector(const BitPlan& plan, const Tiles& tiles, const unsigned char* image, size_t output,
                size_t first_row, size_t last_row, const Target& target) {
  const size_t weights = output / kBlock * plan.block_size + output % kBlock;
  const size_t row_bytes = plan.layout.stride * plan.layout.row_bytes;
  for (size_t t = 0; t < plan.term_count; ++t) {
    const PlaneTerm& term = plan.terms[t];
    const TileRows rows{
        .word_offsets = plan.word_offsets,
        .word_count = plan.word_count,
        .products = term.products,
        .product_count = term.product_count,
        .column_classes = plan.column_classes,
        .width = plan.out_width,
        .outputs = plan.outputs,
        .factor = plan.factor,
        .signs = plan.signs + weights,
        .masks = plan.masks == nullptr ? plan.signs : plan.masks + weights,
        .scales = term.scales == nullptr ? nullptr : term.scales + output,
        .vector_outputs = plan.outputs - output < tiles.outputs ? plan.outputs - output : tiles.outputs,
        .add = t > 0,
        .rows = last_row - first_row,
        .corner = image + first_row * row_bytes,
        .corner_step = row_bytes,
        .bias = term.bias + output,
        .row_classes = plan.row_classes + first_row,
        .dst = target.dst + output * target.value_bytes,
        .dst_step = plan.out_width * plan.outputs * target.value_bytes,
        .added = target.added == nullptr ? nullptr : target.added + output,
        .thresholds = target.thresholds,
        .output = output};
    run_tiles(rows, plan.masks == nullptr ? tiles.binary : tiles.masked, tiles.pixels);
  }
}

/// Kernels::bit_convolution* by `tiles`, which must be of the plan's lanes and of the target's values.
void run_images(const BitPlan& plan, const Tiles& tiles, const unsigned char* planes, size_t images,
                size_t first_row, size_t last_row, Target target) {
  for (size_t image = 0; image < images; ++image) {
    for (size_t o = 0; o < plan.outputs; o += tiles.outputs)
      run_vector(plan, tiles, planes, o, first_row, last_row, target);
    planes += plan.layout.image_bytes;
    target.dst += plan.out_height * plan.out_width * plan.outputs * target.value_bytes;
  }
}

}  // namespace
}  // namespace qtrain::kernels
