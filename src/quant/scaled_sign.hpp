#pragma once
#include <span>

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

}  // namespace qtrain::quant
