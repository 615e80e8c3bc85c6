#pragma once
#include <string>
#include <vector>

#include "run/console.hpp"
#include "run/experiment.hpp"
#include "run/folder.hpp"
#include "run/metrics.hpp"

namespace qtrain::run {

/// Runs every case of the experiment's lab with every seed, side by side on its threads; writes timing.json
/// and metrics.json and returns the latter. Null, and nothing written, when a signal asked to stop.
Json run_lab(const ExperimentSpec& experiment, const Json& resolved, const Folder& folder, Console& console);

/// The table shown at its end, a line an entry: a row a case; over several seeds medians, and of yes and no
/// how often yes.
std::vector<std::string> lab_table(const Json& metrics);

/// Prints what would be run.
void print_lab(const ExperimentSpec& experiment);

}  // namespace qtrain::run
