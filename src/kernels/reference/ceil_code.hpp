#pragma once
#include <algorithm>
#include <cmath>

namespace qtrain::kernels::reference {

/// Kernels::ceil_codes of one value.
inline float ceil_code(float x, float step, float top) {
  float code = std::ceil(x / step);
  if (x <= (code - 1.0f) * step)
    code -= 1.0f;
  else if (x > code * step)
    code += 1.0f;
  return code > 0.0f ? std::min(code, top) : 0.0f;
}

}  // namespace qtrain::kernels::reference
