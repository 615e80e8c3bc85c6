#pragma once
#include <vector>

#include "kernels/geometry.hpp"
#include "kernels/kernels.hpp"
#include "kernels/pairs.hpp"
#include "kernels/src_values.hpp"

namespace qtrain::kernels {

/// The gradient of a convolution's weights, of src as bfloat16 or bytes and bfloat16 diff_dst, by products of
/// pairs of columns:
///
///   diff_weights[o][ky][kx][c] = sum of src[y stride + ky - padding][x stride + kx - padding][c]
///                                       * diff_dst[y][x][o] over images, y and x
///
/// in floats, in the order of Kernels::pair_products. Described once, run for any shard by any thread;
/// nothing allocates after construction.
class WeightGradient {
 public:
  using DiffDst = unsigned short;
  using Scratch = unsigned;

  WeightGradient(const ConvolutionGeometry& geometry, SrcValues src, const Kernels& kernels = active());
  WeightGradient(const WeightGradient&) = delete;
  WeightGradient& operator=(const WeightGradient&) = delete;

  /// What run() needs besides its operands.
  std::size_t scratch_bytes() const;

  /// src is nhwc, diff_dst too, diff_weights is as above; no overlap. `scratch` is aligned to words.
  void run(const void* src, const DiffDst* diff_dst, std::size_t images, Scratch* scratch,
           float* diff_weights) const;

 private:
  void lay_out_src(const ConvolutionGeometry& geometry);

  const Kernels& kernels_;
  decltype(Kernels::pack_pairs) pack_src_;
  std::vector<std::size_t> taps_;
  std::size_t src_bytes_;  ///< of an image
  PairPlan plan_{};
  std::size_t images_ = 1;  ///< packed at once
};

}  // namespace qtrain::kernels
