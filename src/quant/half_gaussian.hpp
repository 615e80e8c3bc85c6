#pragma once

namespace qtrain::quant {

/// How x > 0 is turned into a level k in [0, levels] of a uniform quantizer with step a; above the top it
/// saturates.
///   nearest  k = round(x / a)              level 0 for x <= a / 2
///   ceil     k = ceil(x / a)               no level 0
///   positive k = max(round(x / a), 1)      no level 0 (HWGQ)
enum class Rounding { nearest, ceil, positive };

/// The step a > 0 that minimises E (x - a k(x / a))^2 for x = |N(0, 1)| and k capped at `levels` (1 to 255),
/// to about 1e-14: the exact limit of a Lloyd fit on simulated half-Gaussian data.
double half_gaussian_step(Rounding rounding, int levels);

}  // namespace qtrain::quant
