#pragma once
#include <span>

#include "quant/weight_groups.hpp"

namespace qtrain::quant {

/// What stands for the derivative of w = alpha sign(u), alpha = mean |u| over the n weights of a group:
///   straight_through  gu_i = g_i
///   paper             gu_i = g_i (1 / n + alpha 1{|u_i| < 1})
///   exact             gu_i = sign(u_i) / n sum_j g_j sign(u_j) + alpha g_i 1{|u_i| <= 1}
enum class ScaledSignGradient { straight_through, paper, exact };

/// w = alpha sign(u) for one group, with alpha = mean |u| rounded to float and sign(0) = sign(-0) = +1.
void scaled_sign(std::span<const float> u, std::span<float> w);

/// gu for one group, by `rule`.
void scaled_sign_gradient(ScaledSignGradient rule, std::span<const float> u, std::span<const float> g,
                          std::span<float> gu);

/// w = alpha sign(u) with an alpha a group: bwn, and what xnor adds to.
class ScaledSignMethod : public WeightMethod {
 public:
  ScaledSignMethod(const WeightGroups& groups, ScaledSignGradient gradient)
      : groups_(groups), gradient_(gradient) {}

  void used(std::span<const float> u, const WeightContext& context, std::span<float> w) override;
  void pulled(std::span<const float> u, std::span<const float> w, std::span<const float> gw,
              const WeightContext& context, std::span<float> gu) override;
  bool codes(std::span<const float> w, std::span<float> codes, std::span<float> scales) const override {
    return groups_.codes(w, codes, scales);
  }
  std::size_t scale_count() const override { return groups_.count; }
  std::optional<CodeRange> code_range() const override { return CodeRange{-1, 1, 2}; }
  int bits() const override { return 1; }

 protected:
  WeightGroups groups_;

 private:
  ScaledSignGradient gradient_;
};

}  // namespace qtrain::quant
