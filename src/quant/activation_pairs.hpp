#pragma once
#include <string>

namespace qtrain::quant {

// Which STE, by name, can stand for which quantizer's derivative, from where it is not 0 (SteSupport). The
// words returned go on after "is STE, but" and say which can; "" means yes.

/// For quantizers whose levels rise from 0 on.
std::string refuses_two_sided(const std::string& quantizer, const std::string& ste);

/// For quantizers with one step at 0 and outputs of both signs.
std::string refuses_one_sided(const std::string& quantizer, const std::string& ste);

/// For quantizers whose learned values have the clipping window in their own gradient.
std::string refuses_all_but_window(const std::string& quantizer, const std::string& ste);

}  // namespace qtrain::quant
