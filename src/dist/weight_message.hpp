#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace qtrain::dist {

/// Appends one tensor of weights scale * code (quant/packed_weights.hpp):
///
///   bits (one byte), number of scales, number of levels (four bytes each), scales, levels, numbers
void append_weights(std::span<const float> codes, std::span<const float> scales, std::size_t rows,
                    std::vector<std::byte>& message);

/// Reads what one append_weights wrote, from `message` at `position`, which moves on; `codes` has the
/// tensor's size.
void read_weights(std::span<const std::byte> message, std::size_t& position, std::size_t rows,
                  std::span<float> codes, std::vector<float>& scales);

}  // namespace qtrain::dist
