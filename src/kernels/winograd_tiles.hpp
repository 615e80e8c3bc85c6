#pragma once
#include <cstddef>

// No function here: see kernel_set.hpp.

namespace qtrain::kernels {

/// Images nhwc cut into tiles of 2 x 2 pixels, for Winograd's F(2x2, 3x3) (Lavin, Gray: Fast Algorithms for
/// Convolutional Neural Networks, CVPR 2016, arXiv:1509.09308). A 3 x 3 convolution of stride 1 and padding 1
/// has the tile of dst, Y, from the window of 4 x 4 pixels around it, d, and weights g as
///
///   Y = A^T [ (G g G^T) * (B^T d B) ] A
///
///         1  0 -1  0         1   0   0          1  1  1  0
///   B^T = 0  1  1  0     G = 1/2 1/2 1/2  A^T = 0  1 -1 -1
///         0 -1  1  0         1/2 -1/2 1/2
///         0  1  0 -1         0   0   1
///
/// with 16 products by element where 36 were: summed over channels, that is 16 matrix products. The same
/// three matrices give the gradient of g from tiles e of the gradient of Y,
///
///   G'^T [ sum of (A' e A'^T) * (B^T d B) ] G'
///
/// where A' and G' are A and G with the last row's sign turned: it cancels.
///
/// Elements of 4 x 4 matrices lie [element][tile][channel], element 4 i + j of row i, column j; tiles are
/// counted along rows of tiles, from image to image. A pixel outside the image is 0.
struct WinogradTiles {
  std::size_t height, width;  ///< of an image
  std::size_t channels;       ///< a multiple of 16
  std::size_t rows, columns;  ///< of tiles in an image: halves of height and width, rounded up
  std::size_t apart;          ///< values from an element to the next
};

/// The 16 matrix products: of [tile][term] and [term][lane].
struct WinogradProduct {
  std::size_t terms, lanes;          ///< multiples of 16
  std::size_t src_apart, dst_apart;  ///< values from an element to the next; of weights it is terms * lanes
};

}  // namespace qtrain::kernels
