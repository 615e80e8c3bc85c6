#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "kernels/geometry.hpp"
#include "kernels/lookup_tables.hpp"

namespace qtrain::kernels {

/// Weights of +-1 as the entries they look up in tables of activations: the plan of such a convolution.
class LookupWeights {
 public:
  /// Activations lowest + step * index, 0 <= index <= top <= 15. Classes of rows and columns as in TablePlan;
  /// they must outlive this.
  LookupWeights(const ConvolutionGeometry& geometry, int lowest, int step, int top,
                const std::size_t* row_classes, const std::size_t* column_classes, std::size_t biases);
  LookupWeights(const LookupWeights&) = delete;
  LookupWeights& operator=(const LookupWeights&) = delete;

  const TablePlan& plan() const { return plan_; }
  std::size_t bytes() const { return entries_.size(); }
  /// Takes the weights of an output, +-1 [channel][ky][kx].
  void set_output(std::span<const float> codes, std::size_t output);
  /// Takes what enters besides the sums, integers of 16 bits [class][output, padded].
  void set_bias(std::span<const float> bias);

 private:
  std::size_t kernel_;
  std::vector<std::size_t> offsets_;
  AlignedBuffer<unsigned char> entries_;
  AlignedBuffer<std::int16_t> bias_;
  TablePlan plan_{};
};

}  // namespace qtrain::kernels
