#include "run/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <exception>

#include "base/error.hpp"
#include "base/file.hpp"
#include "kernels/kernels.hpp"
#include "run/json_text.hpp"
#include "run/lab_run.hpp"
#include "run/session.hpp"
#include "run/signals.hpp"
#include "run/statistics.hpp"

namespace qtrain::run {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMetrics = "metrics.json";

/// Whether `folder` holds this experiment finished; an Error (usage) if it is another one's.
std::optional<Json> finished_here(const fs::path& folder, const Json& resolved) {
  std::optional<Json> metrics = finished_metrics(folder);
  if (!metrics) return std::nullopt;
  const std::vector<std::string> keys = differing_keys((*metrics)["spec"], resolved);
  if (!keys.empty())
    fail(ExitCode::usage,
         "{} holds another experiment, choose another folder with --out; these keys differ: {}",
         folder.string(), fmt::join(keys, ", "));
  return metrics;
}

int exit_code_of(const Json& metrics) {
  return static_cast<int>(metrics["result"]["status"] == "done" ? ExitCode::done : ExitCode::diverged);
}

/// One seed in one folder; its metrics are left in `metrics` when it came to an end.
int run_seed(const ExperimentSpec& experiment, std::int64_t seed, const fs::path& path,
             const Request& request, const datasets::Loaded& loaded, Console& console, Json& metrics) {
  Folder folder(path, request.resume);
  console.open_log(folder / "log.txt");
  if (!loaded.warning.empty()) console.warn(loaded.warning);
  console.say(fmt::format("{} with seed {} in {}", experiment.name, seed, path.string()));
  try {
    Session session(experiment, seed, loaded, folder, console);
    if (request.resume)
      session.resume();
    else
      folder.write_history({});
    const int code = session.run();
    metrics = session.metrics();
    return code;
  } catch (const std::exception& error) {
    console.log_error(error.what());
    throw;
  }
}

/// metrics.json over several seeds: means and deviations of the numbers in `.result`, null where a run has
/// none.
Json summary(const ExperimentSpec& experiment, const std::vector<Json>& runs) {
  Json result;
  result["status"] = "done";
  for (const Json& run : runs)
    if (run["result"]["status"] != "done") result["status"] = run["result"]["status"];
  for (const char* key : {"train_accuracy", "val_accuracy", "quantized_val_accuracy", "best_val_accuracy"}) {
    std::vector<double> values;
    for (const Json& run : runs)
      if (run["result"][key].is_number()) values.push_back(run["result"][key]);
    const bool complete = values.size() == runs.size();
    result[key] = complete ? Json(mean(values)) : Json();
    result[std::string(key) + "_deviation"] = complete ? Json(deviation(values)) : Json();
  }
  result["epochs"] = runs.front()["result"]["epochs"];
  result["seeds"] = runs.size();
  Json metrics;
  metrics["schema"] = 1;
  metrics["name"] = experiment.name;
  metrics["spec"] = experiment.resolved;
  metrics["dataset"] = runs.front()["dataset"];
  metrics["runs"] = Json::array();
  for (std::size_t i = 0; i < runs.size(); ++i)
    metrics["runs"].push_back({{"seed", experiment.seeds[i]},
                               {"folder", fmt::format("s{}", experiment.seeds[i])},
                               {"result", runs[i]["result"]}});
  metrics["result"] = result;
  metrics["expected"] = expected_section(experiment, result["quantized_val_accuracy"]);
  return metrics;
}

int run_seeds(const ExperimentSpec& experiment, const fs::path& path, const Request& request,
              const datasets::Loaded& loaded, Console& console, Json& metrics) {
  const Folder folder(path, request.resume);
  std::vector<Json> runs;
  for (const int seed : experiment.seeds) {
    const fs::path place = path / fmt::format("s{}", seed);
    Json& one = runs.emplace_back();
    const std::optional<Json> before =
        fs::exists(place) ? finished_here(place, resolved_for_seed(experiment, seed)) : std::nullopt;
    if (before) one = *before;
    const int code =
        before ? exit_code_of(*before) : run_seed(experiment, seed, place, request, loaded, console, one);
    if (one.is_null()) return code;
  }
  metrics = summary(experiment, runs);
  write_whole(path / kMetrics, indented_text(metrics));
  return exit_code_of(metrics);
}

int train(const ExperimentSpec& experiment, const fs::path& path, const Request& request, Console& console,
          Json& metrics) {
  const datasets::Loaded loaded = datasets::load(experiment.stages.front().dataset);
  return experiment.seeds.empty()
             ? run_seed(experiment, experiment.seed, path, request, loaded, console, metrics)
             : run_seeds(experiment, path, request, loaded, console, metrics);
}

int run_lab(const ExperimentSpec& experiment, const Json& resolved, const fs::path& path,
            const Request& request, Console& console, Json& metrics) {
  const Folder folder(path, request.resume);
  console.open_log(folder / "log.txt");
  try {
    metrics = run_lab(experiment, resolved, folder, console);
  } catch (const std::exception& error) {
    console.log_error(error.what());
    throw;
  }
  return metrics.is_null() ? 128 + stop_signal() : exit_code_of(metrics);
}

fs::path folder_for(const ExperimentSpec& experiment, const Request& request) {
  if (!request.out.empty()) return request.out;
  const std::string base = fmt::format("runs/{}-{}", experiment.name, spec_hash(experiment.resolved));
  return experiment.seeds.empty() ? fs::path(fmt::format("{}-s{}", base, experiment.seed)) : fs::path(base);
}

}  // namespace

int run_experiment(const Request& request) {
  spec::Document document = spec::Document::load(request.spec, request.overrides);
  const ExperimentSpec experiment = read_experiment(document);
  kernels::active();  // a wrong $QTRAIN_ISA stops the run before it leaves anything
  const fs::path path = folder_for(experiment, request);
  const bool several = !experiment.seeds.empty();
  const Json resolved = several ? experiment.resolved : resolved_for_seed(experiment, experiment.seed);
  Console console(request.quiet);
  if (fs::exists(path)) {
    if (!request.resume && !request.skip_done) fail_exists(path);
    const std::optional<Json> metrics = finished_here(path, resolved);
    if (metrics) {
      console.say(fmt::format("{} is finished", path.string()));
      console.result_path(path / kMetrics);
      return exit_code_of(*metrics);
    }
    if (!request.resume) fail_exists(path);
  }
  install_signal_handlers();
  Json metrics;
  const int code = experiment.lab ? run_lab(experiment, resolved, path, request, console, metrics)
                                  : train(experiment, path, request, console, metrics);
  if (metrics.is_null()) return code;
  for (const std::string& line : experiment.lab ? lab_table(metrics) : result_table(metrics))
    console.say(line);
  console.result_path(path / kMetrics);
  return code;
}

int check_specs(const std::vector<std::string>& paths) {
  bool good = true;
  for (const std::string& path : paths) {
    try {
      spec::Document document = spec::Document::load(path);
      read_experiment(document);
      fmt::print("{}: good\n", path);
    } catch (const Error& error) {
      fmt::print(stderr, "{}\n", error.what());
      good = false;
    }
  }
  return static_cast<int>(good ? ExitCode::done : ExitCode::usage);
}

}  // namespace qtrain::run
