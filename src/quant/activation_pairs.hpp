#pragma once
#include <string>

namespace qtrain::quant {

// Which STE can stand for which quantizer's derivative. `identity` can for all; the words returned go on
// after "is STE, but", "" means yes.

/// Whether mu' is symmetric about 0: for a single step there.
inline bool is_two_sided(const std::string& ste) {
  return ste == "hard_tanh" || ste == "approx_sign" || ste == "swish_sign";
}

/// For quantizers whose levels rise from 0 on.
inline std::string refuses_two_sided(const std::string& quantizer, const std::string& ste) {
  if (!is_two_sided(ste)) return "";
  return quantizer + " has its steps above 0 alone, and this derivative is centred on a step at 0";
}

/// For quantizers with one step at 0 and outputs of both signs.
inline std::string refuses_one_sided(const std::string& quantizer, const std::string& ste) {
  if (ste == "identity" || is_two_sided(ste)) return "";
  return quantizer + " has its one step at 0, below which this derivative is 0: needs hard_tanh, " +
         "approx_sign, swish_sign or identity";
}

/// For quantizers whose learned values have the clipping window in their own gradient.
inline std::string refuses_all_but_window(const std::string& quantizer, const std::string& ste) {
  if (ste == "identity" || ste == "clipped_relu") return "";
  return quantizer + " learns its window by the derivative of clipping: needs clipped_relu or identity";
}

}  // namespace qtrain::quant
