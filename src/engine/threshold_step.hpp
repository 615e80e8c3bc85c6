#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/steps.hpp"

namespace qtrain::engine {

/// The elementwise pass of evaluation behind a product of bit planes, perhaps with codes 0 and 1 added, that
/// ends in a quantizer of two levels: batch norm and quantizer are a threshold a channel on the integer sum.
/// The thresholds are found by trying the float pass itself, so every code is the one it gives.
class ThresholdForward : public ElementwiseForward {
 public:
  using ElementwiseForward::ElementwiseForward;
  /// Finds the thresholds; whenever weights, statistics or what quantizers learn have changed.
  virtual void prepare() = 0;
};

/// Whether the operands are a product with 16-bit results and, perhaps, one tensor of bytes whose codes are
/// `added` (null: not codes), and the unit ends in two codes of a byte.
bool has_thresholds(const std::vector<Operand>& operands, const ActivationUnit* added,
                    const ActivationUnit* unit);

/// `codes` is where the codes go, as bytes.
std::unique_ptr<ThresholdForward> threshold_forward(const std::string& name,
                                                    const std::vector<Operand>& operands,
                                                    const ActivationUnit& unit, const Stored& codes,
                                                    const Layout& layout);

}  // namespace qtrain::engine
