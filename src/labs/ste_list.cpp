#include "labs/ste_list.hpp"

#include <algorithm>

namespace qtrain::labs {

void SteList::read(spec::Reader& keys, const std::vector<std::string>& allowed) {
  keys.choices("stes", names, allowed, "straight-through estimators, each run by itself");
  if (names.empty()) keys.mistake("stes", "is empty, must hold at least one");
  for (const std::string& name : names)
    for (const quant::SteEntry& entry : quant::stes())
      if (entry.name == name) make.push_back(entry.read(keys));
}

}  // namespace qtrain::labs
