#include "labs/lab.hpp"

#include <algorithm>

namespace qtrain::labs {

namespace problems {
#define LAB(name) std::unique_ptr<Lab> read_##name(spec::Reader& keys);
#include "labs/labs.def"
#undef LAB
}  // namespace problems

namespace {

constexpr LabEntry kLabs[] = {
#define LAB(name) {#name, &problems::read_##name},
#include "labs/labs.def"
#undef LAB
};

}  // namespace

std::span<const LabEntry> registry() { return kLabs; }

void LabSpec::read(spec::Reader keys) {
  std::vector<std::string> names;
  for (const LabEntry& entry : kLabs) names.emplace_back(entry.name);
  keys.choice("name", name, names,
              "a problem with a known answer, in place of dataset, model, quantize and train");
  const auto* entry = std::ranges::find_if(kLabs, [&](const LabEntry& row) { return row.name == name; });
  lab = (entry == std::end(kLabs) ? kLabs : entry)->read(keys);
  keys.finish();
}

void LogSteps::read(spec::Reader& keys) {
  keys.field("log_every", every, spec::at_least(0),
             "steps from row to row; 0: rows at 0, 1, 2, 5, 10, 20, 50, ... and the last step");
}

bool LogSteps::contains(std::int64_t step) const {
  if (every > 0) return step % every == 0;
  if (step == 0) return true;
  while (step % 10 == 0) step /= 10;
  return step == 1 || step == 2 || step == 5;
}

}  // namespace qtrain::labs
