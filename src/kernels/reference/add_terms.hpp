#pragma once
#include <algorithm>
#include <cstddef>

namespace qtrain::kernels::reference {

/// Adds term(0) + ... + term(pixels - 1) to `sum`, in the order that Kernels::moments states.
template <class Term>
void add_terms(double& sum, std::size_t pixels, const Term& term) {
  constexpr std::size_t kBlock = 256;  // pixels summed in float before the double takes over
  for (std::size_t first = 0; first < pixels; first += kBlock) {
    const std::size_t last = std::min(first + kBlock, pixels);
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    std::size_t p = first;
    for (; p + 4 <= last; p += 4) {
      s0 += term(p);
      s1 += term(p + 1);
      s2 += term(p + 2);
      s3 += term(p + 3);
    }
    if (p < last) s0 += term(p);
    if (p + 1 < last) s1 += term(p + 1);
    if (p + 2 < last) s2 += term(p + 2);
    sum += static_cast<double>((s0 + s1) + (s2 + s3));
  }
}

}  // namespace qtrain::kernels::reference
