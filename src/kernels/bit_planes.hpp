#pragma once
#include <cstddef>
#include <cstdint>

// No function here: see kernel_set.hpp.

namespace qtrain::kernels {

/// Where the bits of one image's codes lie. A code is lowest + index << step_bits, and bit p of the index
/// goes to plane p. Outside the image every bit is 0. In memory, words of `lane_bytes` bytes, without
/// alignment:
///
///   [row][plane][phase][word][column]      word (y, p, f, w, c) holds channels w * B to w * B + B - 1,
///   lowest
///                                          bit first, B = 8 * lane_bytes, of the padded image's pixel
///                                          (y, c * stride + f)
///
/// so that the words that a run of output pixels meets in one tap are neighbours, whatever the stride. Pixels
/// that no window reaches are not stored or left 0.
struct PlaneLayout {
  std::size_t height, width, channels;  ///< of the image, nhwc
  std::size_t planes;                   ///< 1 to 8
  int lowest, step_bits;
  std::size_t kernel, stride, padding;  ///< padding above and to the left
  std::size_t lane_bytes;               ///< 2 or 4
  std::size_t words;                    ///< a pixel and plane
  std::size_t columns;                  ///< of a phase, those that only complete the last pair included
  std::size_t phases;                   ///< the smaller of stride and kernel
  std::size_t rows;                     ///< of the padded image, up to the last a window reaches
  std::size_t plane_bytes, row_bytes, image_bytes;
};

/// A pair of planes: acc = (doubled ? 2 acc : acc) + sum over the words k of a window of
/// popcount((x[k] ^ sign[k]) & mask[k]).
struct PlaneProduct {
  std::size_t plane_offset;   ///< of the activation plane, bytes from that of plane 0
  std::size_t weight_offset;  ///< of the weight plane, numbers from the block's first
  bool doubled;
};

/// One exact integer sum for every output, and how it enters the result (see Kernels::bit_convolution).
struct PlaneTerm {
  const PlaneProduct* products;  ///< first never doubled
  std::size_t product_count;
  const float* bias;    ///< [class][output, padded to blocks of 16]
  const float* scales;  ///< [output, padded]; null: 1
};

/// A convolution as the kernels see it; made by BitConvolution.
struct BitPlan {
  PlaneLayout layout;
  std::size_t out_height, out_width, outputs;
  const std::size_t* word_offsets;  ///< of a window's words, bytes from its corner; word_count of them
  std::size_t word_count;
  /// [block of 16 outputs][plane][word][output]; with lane_bytes = 2 each word twice, in either half. A mask
  /// is 0 where the weight's digit is 0, elsewhere the sign is 1 where it is -1; masks null: no digit is 0.
  const std::uint32_t* signs;
  const std::uint32_t* masks;
  std::size_t block_size;  ///< numbers of `signs` a block
  const PlaneTerm* terms;
  std::size_t term_count;
  float factor;  ///< an integer
  /// Where in `bias` the class of an output pixel begins: row_classes[y] + column_classes[x].
  const std::size_t* row_classes;
  const std::size_t* column_classes;
};

/// What a quantizer of two levels makes of a product's results r, and of the codes 0 or 1 of a tensor that is
/// added, if there is one: code `high` where (r >= threshold) is not `flipped`, else code `low`.
struct BitThresholds {
  const std::int16_t* thresholds;  ///< [code added][output, padded to blocks of 16]
  const std::uint16_t* flipped;    ///< [code added][block], a bit for each output
  std::size_t padded_outputs;
  unsigned char low, high;  ///< as bytes, in two's complement
};

}  // namespace qtrain::kernels
