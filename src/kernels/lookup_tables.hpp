#pragma once
#include <cstddef>
#include <cstdint>

// No function here: see kernel_set.hpp.

namespace qtrain::kernels {

/// Where the tables of one image lie. The indices of four neighbouring channels, x0 to x3, have a table of 16
/// bytes, and entry e is the sum of (bit j of e ? top - xj : xj): what weights of signs e make of them (as
/// BiQGEMM, Jeon et al., SC 2020, arXiv:2005.09904, and T-MAC, Wei et al., EuroSys 2025, arXiv:2407.00088,
/// look products up). A code is lowest + index << step_bits; outside the image, and beyond the channels, the
/// index is 0. In memory, without alignment, though faster from a multiple of 64 on:
///
///   [row][column][group of 4 channels][entry]     of the padded image, groups filled up to a multiple of 4
///
/// Pixels that no window reaches are not stored.
struct TableLayout {
  std::size_t height, width, channels;  ///< of the image, nhwc
  int lowest, step_bits;
  int top;  ///< highest index, at most 15
  std::size_t padding;
  std::size_t rows, columns;  ///< of the padded image, up to the last a window reaches
  std::size_t column_bytes, row_bytes, image_bytes;
};

/// A convolution by weights of +-1, as the kernels see it; made by BitConvolution. A word is four groups of
/// one pixel, 64 bytes of tables or weights.
struct TablePlan {
  TableLayout layout;
  std::size_t stride, out_height, out_width, outputs;
  const std::size_t* word_offsets;  ///< of a window's words, bytes from its corner; word_count of them
  std::size_t word_count;
  std::size_t byte_lookups;  ///< entries whose sum a byte holds, at least 4
  /// [block of 16 outputs][word][group][16]: which entry an output takes, bit j set where channel j has -1;
  /// outputs in the order 0, 8, 1, 9, ... 7, 15.
  const unsigned char* entries;
  const std::int16_t* bias;  ///< [class][output, padded to blocks of 16]
  /// Where in `bias` the class of an output pixel begins: row_classes[y] + column_classes[x].
  const std::size_t* row_classes;
  const std::size_t* column_classes;
};

}  // namespace qtrain::kernels
