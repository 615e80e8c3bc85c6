#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace qtrain::dist {

/// Appends one tensor of weights scale * code. `codes` has as many rows as there are `scales`; where there
/// are up to 256 different codes the message has them as a table and a number of as few bits as it takes for
/// each weight, else all weights as floats:
///
///   bits (one byte; 32: floats), number of scales (four bytes), scales, [table size - 1 (one byte), table],
///   numbers or floats
void append_weights(std::span<const float> codes, std::span<const float> scales,
                    std::vector<std::byte>& message);

/// Reads what one append_weights wrote, from `message` at `position`, which moves on; w has the tensor's
/// size.
void read_weights(std::span<const std::byte> message, std::size_t& position, std::span<float> w);

}  // namespace qtrain::dist
