#pragma once
#include <vector>

#include "engine/layout.hpp"
#include "engine/steps.hpp"

namespace qtrain::engine {

/// The codes that the float pass makes of `pixels` pixels of a product's sums z and of the codes r of what is
/// added, if an operand is no product: batch norm, sum, quantizer.
std::vector<float> float_codes(const std::vector<Operand>& operands, const ActivationUnit& unit,
                               const std::vector<float>& z, const std::vector<float>& r, std::size_t pixels);

/// Batch norm and a quantizer of many levels folded into a linear map a channel (kernels::FoldedPass), behind
/// a product with 16-bit sums and, perhaps, one tensor of codes added. It has the codes of the float pass for
/// every sum and code there can be: as both are monotone in the sum, it has them if it has them on both sides
/// of each step from a code to the next, and where the steps are is found by trying the float pass.
class FoldedCodes {
 public:
  static bool serves(const std::vector<Operand>& operands, const ActivationUnit* unit, const Layout& layout);

  /// serves() must be true.
  FoldedCodes(const std::vector<Operand>& operands, const ActivationUnit& unit, const Layout& layout);

  /// Finds the maps; false if a channel has none.
  bool find();
  /// With the maps found last.
  void run(const short* z, const unsigned char* r, unsigned char* codes, std::size_t pixels) const;

 private:
  std::vector<int> steps() const;
  bool find(std::size_t channel, const std::vector<int>& steps);
  /// Calls visit(v, k, t) for the steps of a channel.
  template <class Visit>
  void for_each_step(std::size_t channel, const std::vector<int>& steps, const Visit& visit) const;

  const std::vector<Operand>& operands_;
  const ActivationUnit& unit_;
  std::size_t channels_;
  const Operand *product_ = nullptr, *added_ = nullptr;
  int bound_, top_, added_top_ = 0;  ///< of sums, of codes, of codes added
  std::vector<float> slopes_, r_slopes_, offsets_;
};

}  // namespace qtrain::engine
