#include "quant/activation_pairs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "base/words.hpp"
#include "quant/activation.hpp"

namespace qtrain::quant {
namespace {

/// "" if the STE's support is one of `fitting`, else the reason and the names of all whose is.
std::string refusal(const std::string& ste, std::initializer_list<SteSupport> fitting,
                    const std::string& reason) {
  std::vector<std::string> names;
  for (const SteEntry& entry : stes())
    if (std::ranges::count(fitting, entry.support) > 0) names.emplace_back(entry.name);
  if (std::ranges::count(names, ste) > 0) return "";
  return fmt::format("{}: needs {}", reason, joined_words(names, " or "));
}

}  // namespace

std::string refuses_two_sided(const std::string& quantizer, const std::string& ste) {
  return refusal(ste, {SteSupport::everywhere, SteSupport::above, SteSupport::range},
                 quantizer + " has its steps above 0 alone, and this derivative is centred on a step at 0");
}

std::string refuses_one_sided(const std::string& quantizer, const std::string& ste) {
  return refusal(ste, {SteSupport::everywhere, SteSupport::around},
                 quantizer + " has its one step at 0, below which this derivative is 0");
}

std::string refuses_all_but_window(const std::string& quantizer, const std::string& ste) {
  return refusal(ste, {SteSupport::everywhere, SteSupport::range},
                 quantizer + " learns its window by the derivative of clipping");
}

}  // namespace qtrain::quant
