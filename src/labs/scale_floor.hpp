#pragma once
#include <span>

namespace qtrain::labs {

/// min over alpha > 0 and codes b of sum_i (w_i - alpha b_i)^2, exactly.
///   binary   b_i in {-1, +1}
///   levels   b_i in {-top, ..., top}, top > 0
double binary_floor(std::span<const float> w);
double level_floor(std::span<const float> w, int top);

}  // namespace qtrain::labs
