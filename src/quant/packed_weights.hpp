#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace qtrain::quant {

/// A tensor of weights scale * level, its levels as numbers of as few bits as it takes. Unpacked it is the
/// same weights, bit by bit.
struct PackedWeights {
  int bits = 32;                   ///< of a number, 0 to 8; 32: floats, `levels` has one a weight
  std::vector<float> scales;       ///< one, or one a row
  std::vector<float> levels;       ///< what numbers stand for: one table for all rows, or one of 2^bits a row
  std::vector<std::byte> numbers;  ///< one after the other, from the lowest bit of each byte up
};

/// Packs codes[i] * scale, `codes` having `rows` rows (output channels) and a scale each, or one for all. Up
/// to 256 different codes have a table for all rows; else, where that saves space, one a row.
PackedWeights pack_weights(std::span<const float> codes, std::span<const float> scales, std::size_t rows);

/// The codes that were packed; scales are as they are in `packed`. An Error (data) if what is given cannot be
/// codes.size() weights in `rows` rows.
void unpack_codes(const PackedWeights& packed, std::size_t rows, std::span<float> codes);

}  // namespace qtrain::quant
