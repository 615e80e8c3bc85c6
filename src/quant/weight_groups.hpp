#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "quant/weight_method.hpp"

namespace qtrain::quant {

/// Which weights of a tensor share a scale: those of each output channel, or all; of a bias, which has one a
/// channel, always all. A group is contiguous.
struct WeightGroups {
  std::size_t count = 1;
  std::size_t size = 0;

  /// `scale` is "channel" or "tensor", as in the key of that name.
  WeightGroups(const WeightTensor& tensor, const std::string& scale);
  /// The part of `values` (one a weight) that is group `index`.
  template <class Value>
  std::span<Value> of(std::span<Value> values, std::size_t index) const {
    return values.subspan(index * size, size);
  }
  /// WeightMethod::codes for weights that are 0, scale or -scale within a group; false if a group has two
  /// magnitudes. Zeros get the code 0.
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const;
};

/// Reads the key `scale`.
void read_scale(spec::Reader& keys, std::string& scale);

/// The mean of |u|, summed in double; 0 when there are none.
double mean_magnitude(std::span<const float> u);
/// max |u|; 0 when there are none.
float largest_magnitude(std::span<const float> u);

}  // namespace qtrain::quant
