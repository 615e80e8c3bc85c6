#pragma once
#include <string>
#include <vector>

#include "labs/lab.hpp"
#include "read_spec.hpp"

namespace qtrain::labs {

/// Runs every case of the lab that `keys` (YAML, with `name`) describes.
inline std::vector<LabRun> run_all(const std::string& keys, std::uint64_t seed = 1) {
  const auto spec = read_spec<LabSpec>(keys);
  std::vector<LabRun> runs;
  for (std::size_t i = 0; i < spec.lab->cases().size(); ++i) runs.push_back(spec.lab->run(i, seed, [] {}));
  return runs;
}

/// The only case of such a lab.
inline LabRun run_one(const std::string& keys, std::uint64_t seed = 1) { return run_all(keys, seed).at(0); }

/// The row whose first number (step, iteration, eta) is `value`.
inline Json row_at(const LabRun& run, double value) {
  for (const Json& row : run.rows)
    if (row.front() == value) return row;
  return nullptr;
}

}  // namespace qtrain::labs
