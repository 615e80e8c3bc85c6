#pragma once
#include <span>
#include <string>

#include "spec/reader.hpp"

namespace qtrain::quant {

/// Levels without a scale: {-1, 1} or {-1, 0, 1}.
enum class UnitLevels { binary, ternary };

/// Reads `levels`.
UnitLevels read_unit_levels(spec::Reader& keys);
/// Bits that a weight takes.
int bits(UnitLevels levels);
/// What WeightMethod::codes does for them: false unless every w is -1, 0 or 1 (soft weights in training).
bool unit_codes(std::span<const float> w, std::span<float> codes, std::span<float> scales);

}  // namespace qtrain::quant
