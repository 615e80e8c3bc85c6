#pragma once
#include "kernels/kernels.hpp"
#include "kernels/winograd.hpp"

namespace qtrain::kernels {

/// Whether Winograd's tiles of bfloat16 serve the convolution's gradients: has_winograd(), and tiles in
/// pairs.
bool has_winograd_pairs(const ConvolutionGeometry& geometry);

/// The data gradient of a convolution by Winograd's tiles of bfloat16: windows and weights are rounded to it
/// after their transforms, products summed in floats. What that adds to the error of rounding diff_dst itself
/// is of its size (tests/kernels/winograd_pairs.cpp). As WinogradConvolution otherwise.
class WinogradPairData {
 public:
  explicit WinogradPairData(const ConvolutionGeometry& geometry, const Kernels& kernels = active());

  std::size_t scratch_bytes() const;

  /// diff_dst and diff_src are nhwc, the latter in floats or bfloat16; weights [output][3][3][channel];
  /// scratch is aligned to 4 bytes. No overlap.
  void run(const unsigned short* diff_dst, std::size_t images, const float* weights, void* scratch,
           float* diff_src) const;
  void run(const unsigned short* diff_dst, std::size_t images, const float* weights, void* scratch,
           unsigned short* diff_src) const;

 private:
  template <class Result>
  void run(const unsigned short* diff_dst, std::size_t images, const float* weights, void* scratch,
           const Result& result) const;

  const Kernels& kernels_;
  WinogradTiles diff_dst_, diff_src_;
  WinogradProduct product_{};
  std::size_t rows_ = 1;  ///< of tiles at once
};

}  // namespace qtrain::kernels
