#pragma once
#include <memory>
#include <string>
#include <vector>

#include "quant/activation.hpp"

namespace qtrain::labs {

/// The key `stes`: straight-through estimators to compare, each a case of the lab.
struct SteList {
  std::vector<std::string> names;
  std::vector<quant::SteFactory> make;  ///< one each
  /// `names` holds the default; only words of `allowed` are taken. Keys that an STE has of its own are keys
  /// of the lab.
  void read(spec::Reader& keys, const std::vector<std::string>& allowed);
};

}  // namespace qtrain::labs
