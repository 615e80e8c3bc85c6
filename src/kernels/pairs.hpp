#pragma once
#include <cstddef>

// No function here: see kernel_set.hpp.

namespace qtrain::kernels {

/// Where pairs of columns of bfloat16 images lie: two values in a word, the left column's in its lower half,
/// `step` columns apart. Words of a packed image:
///
///   [block][row][run][pair][lane]      channel block * lanes + lane; the pair m of run r begins in column
///                                      first + r + 2 step m; there are at most 2 step runs
///
/// A column outside the image and a channel past the last one are 0.
struct PairLayout {
  std::size_t height, width, channels;  ///< of the image, nhwc
  std::size_t lanes, blocks;
  std::size_t step;
  std::size_t runs;
  std::ptrdiff_t first;
  std::size_t pairs;  ///< a run
  std::size_t row_words, block_words, image_words;
};

/// The gradient of a convolution's weights from pairs of columns, made by WeightGradient. An output row has
/// diff_dst.pairs pairs; the pixels that its pair j meets in the tap (ky, kx) are the words `taps[kx] + j *
/// lanes` of src's row y * stride + ky - padding, if there is one.
struct PairPlan {
  PairLayout src;       ///< 16 lanes
  PairLayout diff_dst;  ///< 8 lanes, 1 run
  std::size_t kernel, stride, padding;
  const std::size_t* taps;
};

}  // namespace qtrain::kernels
