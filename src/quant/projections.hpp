#pragma once
#include <span>

namespace qtrain::quant {

/// -1 if x < 0, else +1, so sign(0) = sign(-0) = +1.
inline float sign_of(float x) { return x < 0 ? -1.0F : 1.0F; }

/// Prox of kappa min(|x - 1|, |x + 1|): with s = sign(theta), s min(|theta| + kappa, 1) if |theta| < 1, else
/// s max(|theta| - kappa, 1). The same as s + sign(theta - s) max(|theta - s| - kappa, 0), but exact for
/// kappa = 0.
float prox_l1(float theta, double kappa);

/// (theta + kappa q) / (1 + kappa), the prox of kappa/2 (x - q)^2; q itself for kappa = infinity.
float prox_l2(float theta, float q, double kappa);

/// Levels {-a, 0, a} of Ternary Weight Networks: D = 0.7 mean |w|, q = a sign(w) if |w| > D, else 0; a is the
/// mean of |w| over |w| > D, 0 if there are none; with `over_all` their sum divided by the number of all
/// weights. May be in place.
void ternary_projection(std::span<const float> w, std::span<float> q, bool over_all = false);

/// Levels {-a, 0, b} of ProxQuant: D = 0.7 mean |w|, b the mean of the w >= D, -a that of the w <= -D (0 if
/// there are none). Zeros for a tensor of zeros. May be in place.
void asymmetric_ternary_projection(std::span<const float> w, std::span<float> q);

}  // namespace qtrain::quant
