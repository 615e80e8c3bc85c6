#include "run/lab_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/file.hpp"
#include "base/threads.hpp"
#include "base/words.hpp"
#include "kernels/kernels.hpp"
#include "run/json_text.hpp"
#include "run/machine.hpp"
#include "run/signals.hpp"
#include "run/statistics.hpp"

namespace qtrain::run {
namespace {

/// Thrown out of a lab when a signal asks to stop.
struct Stopped {};

std::vector<std::int64_t> seeds_of(const ExperimentSpec& experiment) {
  if (experiment.seeds.empty()) return {experiment.seed};
  return {experiment.seeds.begin(), experiment.seeds.end()};
}

int threads_of(const ExperimentSpec& experiment) {
  return experiment.lab->threads > 0 ? experiment.lab->threads : available_processors();
}

/// One run a seed and case, cases of a seed in turn.
std::vector<labs::LabRun> run_all(const ExperimentSpec& experiment) {
  const labs::Lab& lab = *experiment.lab->spec.lab;
  const std::vector<std::int64_t> seeds = seeds_of(experiment);
  const std::size_t cases = lab.cases().size();
  const labs::Watch watch = [] {
    if (stop_signal() != 0) throw Stopped();
  };
  std::vector<labs::LabRun> runs(seeds.size() * cases);
  ThreadPool pool(threads_of(experiment));
  pool.run(static_cast<int>(runs.size()), [&](int task, int /*thread*/) {
    const auto i = static_cast<std::size_t>(task);
    runs[i] = lab.run(i % cases, static_cast<std::uint64_t>(seeds[i / cases]), watch);
  });
  return runs;
}

bool is_finite(const Json& result) {
  return std::ranges::all_of(result, [](const Json& value) {
    return !value.is_number_float() || std::isfinite(value.get<double>());
  });
}

/// Adds to `row` what several runs of one case have under `key`: mean, median and deviation of the numbers,
/// null where there are none; of true and false the share of true.
void summarize(const std::string& key, const std::vector<const Json*>& results, Json& row) {
  std::vector<double> values;
  bool logical = false;
  for (const Json* result : results) {
    const Json& value = result->at(key);
    logical = logical || value.is_boolean();
    if (value.is_boolean()) values.push_back(value.get<bool>() ? 1 : 0);
    if (value.is_number()) values.push_back(value.get<double>());
  }
  const bool any = !values.empty();
  row[key] = any ? Json(mean(values)) : Json();
  if (logical) return;
  row[key + "_median"] = any ? Json(median(values)) : Json();
  row[key + "_deviation"] = values.size() > 1 ? Json(deviation(values)) : Json();
}

/// `.result`: one entry a case.
Json result_of(const std::vector<Json>& cases, const std::vector<labs::LabRun>& runs) {
  Json result;
  const bool finite =
      std::ranges::all_of(runs, [](const labs::LabRun& run) { return is_finite(run.result); });
  result["status"] = finite ? "done" : "diverged";
  result["seeds"] = runs.size() / cases.size();
  for (std::size_t c = 0; c < cases.size(); ++c) {
    Json& row = result["cases"].emplace_back(cases[c]);
    std::vector<const Json*> results;
    for (std::size_t i = c; i < runs.size(); i += cases.size()) results.push_back(&runs[i].result);
    if (results.size() == 1)
      row.update(*results.front());
    else
      for (const auto& item : results.front()->items()) summarize(item.key(), results, row);
  }
  return result;
}

Json timing_of(const ExperimentSpec& experiment, double seconds) {
  Json timing;
  timing["schema"] = 1;
  timing["seconds"] = seconds;
  timing["peak_memory_bytes"] = peak_memory_bytes();
  timing["threads"] = threads_of(experiment);
  timing["isa"] = kernels::active().isa;
  add_machine(timing);
  return timing;
}

/// One cell: `share` of so many `seeds` as "3/5".
std::string cell(const Json& value, bool share, int seeds) {
  const bool number = value.is_number() && std::isfinite(value.get<double>());
  if (number && share) return fmt::format("{:.0f}/{}", value.get<double>() * seeds, seeds);
  if (number) return fmt::format("{:.6g}", value.get<double>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.is_string() ? value.get<std::string>() : "-";
}

/// Adds a column to the lines of the table: the key, then what each case has under it; words to the left.
void add_column(const Json& result, const std::string& key, bool logical, std::vector<std::string>& lines) {
  const Json& cases = result["cases"];
  const int seeds = result["seeds"];
  const bool median = cases.front().contains(key + "_median");
  std::vector<std::string> cells = {key};
  for (const Json& row : cases)
    cells.push_back(cell(row[median ? key + "_median" : key], logical && seeds > 1, seeds));
  const std::size_t width = std::ranges::max(cells, {}, &std::string::size).size();
  const bool words = cases.front()[key].is_string();
  for (std::size_t i = 0; i < lines.size(); ++i)
    lines[i] += words ? fmt::format("  {:<{}}", cells[i], width) : fmt::format("  {:>{}}", cells[i], width);
}

}  // namespace

Json run_lab(const ExperimentSpec& experiment, const Json& resolved, const Folder& folder, Console& console) {
  const auto started = std::chrono::steady_clock::now();
  const std::vector<std::int64_t> seeds = seeds_of(experiment);
  const std::vector<Json> cases = experiment.lab->spec.lab->cases();
  console.say(fmt::format("{}, {} with {} in {}", experiment.name, counted(cases.size(), "case"),
                          counted(seeds.size(), "seed"), folder.path().string()));
  std::vector<labs::LabRun> runs;
  try {
    runs = run_all(experiment);
  } catch (const Stopped&) {
    console.warn("stopped before the end: a lab keeps nothing, --resume runs it again");
    return nullptr;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  Json metrics;
  metrics["schema"] = 1;
  metrics["name"] = experiment.name;
  metrics["spec"] = resolved;
  metrics["lab"] = experiment.lab->spec.name;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Json& entry = metrics["runs"].emplace_back(Json{{"seed", seeds[i / cases.size()]}});
    entry.update(cases[i % cases.size()]);
    entry["rows"] = runs[i].rows;
    entry["result"] = runs[i].result;
  }
  metrics["result"] = result_of(cases, runs);
  write_whole(folder / "timing.json", indented_text(timing_of(experiment, seconds.count())));
  write_whole(folder / "metrics.json", indented_text(metrics));
  return metrics;
}

std::vector<std::string> lab_table(const Json& metrics) {
  const Json& result = metrics["result"];
  const Json& first = metrics["runs"].front();
  std::vector<std::string> table(result["cases"].size() + 1);
  for (const auto& item : first.items())
    if (item.key() != "seed" && !item.value().is_structured()) add_column(result, item.key(), false, table);
  for (const auto& item : first["result"].items())
    add_column(result, item.key(), item.value().is_boolean(), table);
  const int seeds = result["seeds"];
  const std::string note = seeds > 1 ? fmt::format(", medians over {} seeds", seeds) : "";
  table.insert(table.begin(), fmt::format("{} {}{}", metrics["name"].get<std::string>(),
                                          result["status"].get<std::string>(), note));
  return table;
}

void print_lab(const ExperimentSpec& experiment) {
  const LabSection& lab = *experiment.lab;
  const std::vector<Json> cases = lab.spec.lab->cases();
  fmt::print("{}: {} with {} on {}\n", lab.spec.name, counted(cases.size(), "case"),
             counted(seeds_of(experiment).size(), "seed"),
             counted(static_cast<std::size_t>(threads_of(experiment)), "thread"));
  for (const Json& one : cases) fmt::print("  {}\n", compact_text(one));
}

}  // namespace qtrain::run
