#include "quant/unit_levels.hpp"

#include <algorithm>

namespace qtrain::quant {

UnitLevels read_unit_levels(spec::Reader& keys) {
  std::string levels = "binary";
  keys.choice("levels", levels, {"binary", "ternary"}, "{-1, 1} or {-1, 0, 1}");
  return levels == "binary" ? UnitLevels::binary : UnitLevels::ternary;
}

int bits(UnitLevels levels) { return levels == UnitLevels::binary ? 1 : 2; }

bool unit_codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) {
  if (!std::ranges::all_of(w, [](float value) { return value == 0 || value == 1 || value == -1; }))
    return false;
  std::ranges::copy(w, codes.begin());
  scales[0] = 1;
  return true;
}

}  // namespace qtrain::quant
