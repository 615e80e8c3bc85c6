#pragma once
#include "kernels/geometry.hpp"
#include "kernels/kernels.hpp"
#include "kernels/winograd_tiles.hpp"

namespace qtrain::kernels {

/// Whether Winograd's tiles serve the convolution: 3 x 3, stride 1, padding 1, channels and outputs multiples
/// of 16.
bool has_winograd(const ConvolutionGeometry& geometry);

/// A convolution, or its data gradient, by Winograd's F(2x2, 3x3), see WinogradTiles; in floats, in the order
/// of the kernels winograd_*, whatever the number of images. The error is that of a direct sum of floats, if
/// not less (tests/kernels/winograd.cpp). Described once, run for any shard by any thread; nothing allocates
/// after construction.
class WinogradConvolution {
 public:
  enum class Direction { forward, backward_data };

  WinogradConvolution(const ConvolutionGeometry& geometry, Direction direction,
                      const Kernels& kernels = active());

  /// What run() needs besides its operands.
  std::size_t scratch_bytes() const;

  /// Forward: src and dst are nhwc, weights [channel][3][3][output]. Backward: src is diff_dst, dst diff_src,
  /// weights [output][3][3][channel]. No overlap.
  void run(const float* src, std::size_t images, const float* weights, float* scratch, float* dst) const;

 private:
  const Kernels& kernels_;
  bool turned_;
  WinogradTiles src_, dst_;
  WinogradProduct product_{};
  std::size_t rows_ = 1;  ///< of tiles at once
};

}  // namespace qtrain::kernels
