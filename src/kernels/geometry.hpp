#pragma once
#include <cstddef>

namespace qtrain::kernels {

/// Images height x width x channels, square kernel, zero padding above and left, more below and right. A
/// matrix product [rows][channels] x [outputs][channels]^T is the 1x1 convolution of a 1 x rows image.
struct ConvolutionGeometry {
  std::size_t height = 1, width = 1, channels = 1, outputs = 1;
  std::size_t kernel = 1, stride = 1;
  std::size_t padding = 0;      ///< on all four sides
  std::size_t end_padding = 0;  ///< as much more below and to the right
  std::size_t out_height() const { return (height + 2 * padding + end_padding - kernel) / stride + 1; }
  std::size_t out_width() const { return (width + 2 * padding + end_padding - kernel) / stride + 1; }
};

}  // namespace qtrain::kernels
