#pragma once
#include <type_traits>

#include "kernels/geometry.hpp"
#include "kernels/kernels.hpp"
#include "kernels/src_values.hpp"
#include "kernels/winograd_tiles.hpp"

namespace qtrain::kernels {

/// The weight gradient of a convolution by Winograd's tiles, see WinogradTiles:
///
///   diff_weights[o][ky][kx][c] = sum of src[y + ky - 1][x + kx - 1][c] * diff_dst[y][x][o] over images, y, x
///
/// Value is float, for convolutions with has_winograd(), or the bits of bfloat16, to which tiles are rounded
/// too, for those with has_winograd_pairs(). The order of additions is that of the kernels winograd_*,
/// whatever the number of images. Described once, run for any shard by any thread; nothing allocates after
/// construction.
template <class Value>
class WinogradGradient {
 public:
  using DiffDst = Value;
  using Scratch = float;

  WinogradGradient(const ConvolutionGeometry& geometry, SrcValues src, const Kernels& kernels = active());

  /// What run() needs besides its operands.
  std::size_t scratch_bytes() const;

  /// src and diff_dst are nhwc; no overlap.
  void run(const void* src, const DiffDst* diff_dst, std::size_t images, Scratch* scratch,
           float* diff_weights) const;

 private:
  static constexpr bool kFloats = std::is_same_v<Value, float>;
  static constexpr std::size_t kTogether = kFloats ? 1 : 2;  ///< tiles in a Word
  using Word = std::conditional_t<kFloats, float, unsigned>;

  std::size_t sums_size() const;

  void (*windows_)(const WinogradTiles& tiles, const void* x, std::size_t first_row, std::size_t rows,
                   Word* v);
  void (*gradients_)(const WinogradTiles& tiles, const Value* g, std::size_t first_row, std::size_t rows,
                     Word* e);
  void (*sums_)(const WinogradProduct& product, const Word* e, const Word* v, std::size_t words, float* u);
  decltype(Kernels::winograd_weight_gradients) weight_gradients_;
  WinogradTiles src_, diff_dst_;
  WinogradProduct product_{};
  std::size_t rows_ = 1;  ///< of tiles at once
};

extern template class WinogradGradient<float>;
extern template class WinogradGradient<unsigned short>;
using WinogradWeightGradient = WinogradGradient<float>;
using WinogradPairWeightGradient = WinogradGradient<unsigned short>;

}  // namespace qtrain::kernels
