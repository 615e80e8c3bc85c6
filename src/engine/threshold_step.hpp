#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/steps.hpp"

namespace qtrain::engine {

/// Whether the operands are a product with 16-bit results and, perhaps, one tensor of codes 0 and 1 as bytes,
/// and the unit ends in two codes of a byte.
bool has_thresholds(const std::vector<Operand>& operands, const ActivationUnit* unit);

/// The elementwise pass of evaluation behind such a product: batch norm and quantizer are a threshold a
/// channel on the integer sum. prepare() finds the thresholds by trying the float pass itself, so every code
/// is the one it gives. `codes` is where the codes go, as bytes.
std::unique_ptr<ElementwiseForward> threshold_forward(const std::string& name,
                                                      const std::vector<Operand>& operands,
                                                      const ActivationUnit& unit, const Stored& codes,
                                                      const Layout& layout);

}  // namespace qtrain::engine
