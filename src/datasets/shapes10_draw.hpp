#pragma once
#include <cstdint>

namespace qtrain::datasets::shapes10 {

/// Draws image `index` of a split (0 training, 1 test) into `pixels` [3][32][32] and returns its label, index
/// mod 10. The image depends on nothing else, and is the same bits everywhere: float32 +, -, *, / and sqrt
/// only.
std::uint8_t draw(std::uint32_t split, std::uint32_t index, std::uint8_t* pixels);

}  // namespace qtrain::datasets::shapes10
