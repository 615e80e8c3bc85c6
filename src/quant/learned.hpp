#pragma once
#include <limits>
#include <string>
#include <vector>

namespace qtrain::quant {

/// A value that a method learns beside the weights (alpha, c, d, gamma, s). The engine owns the storage,
/// hands it to the method once through `bind`, and the optimizer moves it like any other parameter.
struct LearnedParameter {
  std::string name;  ///< "alpha"; appended to the layer's name
  /// "2bit" for a value that means something else with other bits: in files it is part of the name, so that a
  /// stage of other bits starts its own. Empty: it is carried over.
  std::string unit = {};
  std::vector<float> initial;
  double learning_rate_factor = 1.0;  ///< times the schedule's rate
  double decay = 0;                   ///< L2, times the value is added to its gradient
  double gradient_limit = std::numeric_limits<double>::infinity();  ///< gradient clamped to +-this
  float low = -std::numeric_limits<float>::infinity();  ///< value clamped to [low, high] after the step
  float high = std::numeric_limits<float>::infinity();
};

/// The unit of a value that goes with the number of bits.
inline std::string unit_of(int bits) { return std::to_string(bits) + "bit"; }

}  // namespace qtrain::quant
