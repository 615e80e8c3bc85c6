#include "run/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/file.hpp"
#include "dist/transport.hpp"
#include "kernels/kernels.hpp"
#include "run/initial_net.hpp"
#include "run/json_text.hpp"
#include "run/lab_run.hpp"
#include "run/machine.hpp"
#include "run/session.hpp"
#include "run/signals.hpp"
#include "run/statistics.hpp"

namespace qtrain::run {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMetrics = "metrics.json";
constexpr int kGoOn = -1;  ///< in place of an exit code

/// Whether `folder` holds this experiment finished; an Error (usage) if it is another one's. With
/// `other_seeds` that of other seeds is this one, not finished.
std::optional<Json> finished_here(const fs::path& folder, const Json& resolved, bool other_seeds = false) {
  std::optional<Json> metrics = finished_metrics(folder);
  if (!metrics) return std::nullopt;
  const Json& spec = (*metrics)["spec"];
  const std::vector<std::string> keys = differing_keys(spec, resolved);
  const bool of_seeds = spec.contains("seeds") && !spec["seeds"].empty();  // not one of a single seed
  if (other_seeds && of_seeds && keys == std::vector<std::string>{"seeds"}) return std::nullopt;
  if (!keys.empty())
    fail(ExitCode::usage,
         "{} holds another experiment, choose another folder with --out; these keys differ: {}",
         folder.string(), listed_keys(keys));
  return metrics;
}

int exit_code_of(const Json& metrics) {
  return static_cast<int>(metrics["result"]["status"] == "done" ? ExitCode::done : ExitCode::diverged);
}

/// What all runs of one start have in common.
struct Job {
  const ExperimentSpec& experiment;
  const Request& request;
  dist::Transport& transport;
  Console& console;
  datasets::Loaded loaded{};
};

/// What the leading process decided: it alone looks at the folders, which it also makes.
int decide(Job& job, const std::function<int()>& leading) {
  int decision = job.transport.leads() ? leading() : 0;
  job.transport.broadcast(std::as_writable_bytes(std::span(&decision, 1)));
  return decision;
}

/// An Error in every process unless all have the same of it.
void agree_on(Job& job, const char* what, const Json& mine) {
  const dist::Agreement agreement = dist::agree(job.transport, compact_text(mine));
  if (agreement.same) return;
  const std::vector<std::string> keys = differing_keys(Json::parse(agreement.leader), mine);
  throw dist::CommonError(
      ExitCode::usage,
      fmt::format("worker {} has another {} than worker 0: start all with the same{}{}", agreement.worker,
                  what, keys.empty() ? "" : "; these keys differ: ", listed_keys(keys)));
}

/// Removes a folder that this start has made, if a mistake ended it before there was more than its log: the
/// corrected command is not to find it.
void discard(const fs::path& path, const std::exception& error) {
  const auto* mistake = dynamic_cast<const Error*>(&error);
  if (mistake == nullptr || mistake->code() == ExitCode::failed) return;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, ignored)) {
    const fs::path name = entry.path().filename();
    const bool no_epochs = name == "history.jsonl" && entry.file_size(ignored) == 0;
    if (name != "log.txt" && !no_epochs) return;
  }
  fs::remove_all(path, ignored);
}

/// One seed in one folder; its metrics are left in `metrics` when it came to an end.
int run_seed(Job& job, std::int64_t seed, const fs::path& path, Json& metrics) {
  std::optional<Folder> folder;
  const bool makes = job.transport.leads() && !fs::exists(path);
  if (job.transport.leads()) {
    folder.emplace(path, job.request.resume);
    job.console.open_log(*folder / "log.txt");
  }
  for (const std::string& line : job.experiment.warnings) job.console.warn(line);
  if (!job.loaded.warning.empty()) job.console.warn(job.loaded.warning);
  job.console.say(fmt::format("{} with seed {} in {}", job.experiment.name, seed, path.string()));
  try {
    Session session(job.experiment, seed, job.loaded, path, folder ? &*folder : nullptr, job.transport,
                    job.console);
    if (job.request.resume) {
      session.resume();
      agree_on(job, "checkpoint", session.history());
    } else if (folder) {
      folder->write_history({});
    }
    agree_on(job, "initial net", session.find_initial_net());
    const int code = session.run();
    metrics = session.metrics();
    return code;
  } catch (const std::exception& error) {
    job.console.log_error(error.what());
    if (makes) discard(path, error);
    throw;
  }
}

/// The numbers of `.result` that several seeds have means of.
std::vector<std::string> summarized_keys(const ExperimentSpec& experiment) {
  std::vector<std::string> keys;
  const StageSpec& last = experiment.stages.back();
  const bool language_model = train::is_language_model(last.graph);
  for (const std::string kind : {"loss", "perplexity", "accuracy"})
    for (const char* split : {"train", "val", "quantized_val", "best_val"}) {
      std::string key = fmt::format("{}_{}", split, kind);
      if (key != "best_val_loss" && (language_model || kind != "perplexity")) keys.push_back(std::move(key));
    }
  if (last.dataset.held_out > 0)
    for (const char* key :
         {"test_loss", "quantized_test_loss", "test_accuracy", "quantized_test_accuracy",
          "best_quantized_val_accuracy", "test_accuracy_at_best_val", "quantized_test_accuracy_at_best_val"})
      keys.emplace_back(key);
  return keys;
}

/// metrics.json over several seeds: means and deviations of the numbers in `.result`, null where a run has
/// none or diverged.
Json summary(const ExperimentSpec& experiment, const std::vector<Json>& runs) {
  Json result;
  const auto diverged =
      std::ranges::count_if(runs, [](const Json& run) { return run["result"]["status"] == "diverged"; });
  result["status"] = diverged > 0 ? "diverged" : "done";
  for (const std::string& key : summarized_keys(experiment)) {
    std::vector<double> values;
    for (const Json& run : runs)
      if (run["result"][key].is_number()) values.push_back(run["result"][key]);
    const bool complete = diverged == 0 && values.size() == runs.size();
    result[key] = complete ? Json(mean(values)) : Json();
    result[key + "_deviation"] = complete && values.size() > 1 ? Json(deviation(values)) : Json();
  }
  result["epochs"] = runs.front()["result"]["epochs"];
  result["seeds"] = runs.size();
  result["diverged_seeds"] = diverged;
  Json metrics;
  metrics["schema"] = 1;
  metrics["name"] = experiment.name;
  metrics["spec"] = stages_as_changes(experiment.resolved);
  metrics["dataset"] = runs.front()["dataset"];
  const auto start_of = [](const Json& run) { return run.value("init_sha256", Json()); };
  if (std::ranges::all_of(runs, [&](const Json& run) { return start_of(run) == start_of(runs.front()); }) &&
      !start_of(runs.front()).is_null())
    metrics["init_sha256"] = start_of(runs.front());
  metrics["runs"] = Json::array();
  for (std::size_t i = 0; i < runs.size(); ++i)
    metrics["runs"].push_back({{"seed", experiment.seeds[i]},
                               {"folder", fmt::format("s{}", experiment.seeds[i])},
                               {"result", runs[i]["result"]}});
  metrics["result"] = result;
  metrics["expected"] = expected_section(experiment, result);
  return metrics;
}

/// Says when the finished run in `path` began with other files under the names of `model.init` and
/// `quantize.init` than are there now.
void warn_of_another_start(Job& job, const fs::path& path, const Json& metrics) {
  if (!metrics.contains("init_sha256")) return;
  try {
    const InitialNet net = load_initial_net(job.experiment.stages.front());
    for (const std::string& key : differing_keys(metrics["init_sha256"], net.sha256))
      job.console.warn(fmt::format("{} started from another file than {} now is: remove it to run it anew",
                                   path.string(), key));
  } catch (const Error&) {
    return;  // gone since, which is no fault of the finished run
  }
}

/// All seeds, each in a folder below `path`; the exit code if one was stopped, else kGoOn.
int run_each(Job& job, const fs::path& path, std::vector<Json>& runs) {
  for (const std::int64_t seed : job.experiment.seeds) {
    const fs::path place = path / fmt::format("s{}", seed);
    Json& one = runs.emplace_back();
    const int finished = decide(job, [&] {
      const std::optional<Json> before =
          fs::exists(place) ? finished_here(place, resolved_for_seed(job.experiment, seed)) : std::nullopt;
      if (before) warn_of_another_start(job, place, one = *before);
      return before ? exit_code_of(*before) : kGoOn;
    });
    const int code = finished != kGoOn ? finished : run_seed(job, seed, place, one);
    const bool ended =
        code == static_cast<int>(ExitCode::done) || code == static_cast<int>(ExitCode::diverged);
    if (!ended) return code;
  }
  return kGoOn;
}

int run_seeds(Job& job, const fs::path& path, Json& metrics) {
  std::optional<Folder> folder;
  const bool makes = job.transport.leads() && !fs::exists(path);
  if (job.transport.leads()) folder.emplace(path, job.request.resume);
  std::vector<Json> runs;
  try {
    const int code = run_each(job, path, runs);
    if (code != kGoOn) return code;
  } catch (const std::exception& error) {
    if (makes) discard(path, error);
    throw;
  }
  if (!job.transport.leads()) return static_cast<int>(ExitCode::done);
  metrics = summary(job.experiment, runs);
  write_whole(path / kMetrics, indented_text(metrics));
  return exit_code_of(metrics);
}

int train(Job& job, const fs::path& path, Json& metrics) {
  const ExperimentSpec& experiment = job.experiment;
  job.loaded = datasets::load(experiment.stages.front().dataset);
  agree_on(job, "data set", dataset_section(experiment.stages.front().dataset, job.loaded));
  return experiment.seeds.empty() ? run_seed(job, experiment.seed, path, metrics)
                                  : run_seeds(job, path, metrics);
}

int run_lab(Job& job, const fs::path& path, const Json& resolved, Json& metrics) {
  const Folder folder(path, job.request.resume);
  job.console.open_log(folder / "log.txt");
  try {
    metrics = run_lab(job.experiment, resolved, folder, job.console);
  } catch (const std::exception& error) {
    job.console.log_error(error.what());
    throw;
  }
  return metrics.is_null() ? 128 + stop_signal() : exit_code_of(metrics);
}

fs::path folder_for(const ExperimentSpec& experiment, const Request& request) {
  if (!request.out.empty()) return request.out;
  const std::string base = fmt::format("runs/{}-{}", experiment.name, spec_hash(experiment.resolved));
  return experiment.seeds.empty() ? fs::path(fmt::format("{}-s{}", base, experiment.seed)) : fs::path(base);
}

/// Says when the finished run in `path` is another program's: its numbers need not be this one's.
void warn_of_another_program(Job& job, const fs::path& path) {
  const fs::path file = path / "timing.json";
  if (!fs::exists(file)) return;
  const Json timing = Json::parse(read_whole(file), nullptr, false);
  const Json::json_pointer place("/versions/program");
  if (timing.is_object() && timing.contains(place) && timing[place] != program_digest())
    job.console.warn(path.string() + " was made by another build of the program: remove it to run it anew");
}

/// The exit code if there is nothing to do, else kGoOn; an Error when the folder may not be used.
int look_at(const fs::path& path, Job& job, const Json& resolved) {
  if (!fs::exists(path)) {
    if (!job.experiment.lab) require_initial_files(job.experiment.stages.front());
    return kGoOn;
  }
  if (!job.request.resume && !job.request.skip_done) fail_exists(path);
  const bool other_seeds = job.request.resume && !job.experiment.seeds.empty();
  const std::optional<Json> metrics = finished_here(path, resolved, other_seeds);
  if (metrics) {
    job.console.say(fmt::format("{} is finished", path.string()));
    warn_of_another_program(job, path);
    warn_of_another_start(job, path, *metrics);
    job.console.result_path(path / kMetrics);
    return exit_code_of(*metrics);
  }
  if (!job.request.resume) fail_exists(path);
  return kGoOn;
}

int run_job(Job& job) {
  const ExperimentSpec& experiment = job.experiment;
  const fs::path path = folder_for(experiment, job.request);
  const bool several = !experiment.seeds.empty();
  const Json resolved = several ? experiment.resolved : resolved_for_seed(experiment, experiment.seed);
  agree_on(job, "spec", resolved);
  const int before = decide(job, [&] { return look_at(path, job, resolved); });
  if (before != kGoOn) return before;
  install_signal_handlers(job.transport.alone() ? -1 : job.transport.first());
  Json metrics;
  const bool lab = experiment.lab.has_value();
  const int code = lab ? run_lab(job, path, resolved, metrics) : train(job, path, metrics);
  if (metrics.is_null()) return code;
  for (const std::string& line : lab ? lab_table(metrics) : result_table(metrics)) job.console.say(line);
  job.console.result_path(path / kMetrics);
  return code;
}

}  // namespace

int run_experiment(const Request& request) {
  spec::Document document = spec::Document::load(request.spec, request.overrides);
  const ExperimentSpec experiment = read_experiment(document);
  // What this machine cannot do stops the run before it leaves anything.
  kernels::active();
  for (const StageSpec& stage : experiment.stages)
    engine::require(training_stage(stage, experiment.seed).options.precision);
  const std::unique_ptr<dist::Transport> transport =
      experiment.lab ? dist::make_simulated(1) : dist::make_transport(experiment.stages.front().workers);
  Console console(request.quiet, !transport->leads());
  Job job{.experiment = experiment, .request = request, .transport = *transport, .console = console};
  try {
    return run_job(job);
  } catch (const dist::CommonError& error) {
    // Said while the transport lives: its end waits for all processes, and the first to leave the job with an
    // error has the launcher end the others.
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const Error& error) {
    if (transport->alone()) throw;
    fmt::print(stderr, "worker {}: {}\n", transport->first(), error.what());
    transport->abandon(static_cast<int>(error.code()));
    throw;
  } catch (const std::exception& error) {
    if (transport->alone()) throw;
    fmt::print(stderr, "worker {}: internal error: {}\n", transport->first(), error.what());
    transport->abandon(static_cast<int>(ExitCode::failed));
    throw;
  }
}

int check_specs(const std::vector<std::string>& paths, const std::vector<std::string>& overrides) {
  bool good = true;
  for (const std::string& path : paths) {
    try {
      spec::Document document = spec::Document::load(path, overrides);
      const ExperimentSpec experiment = read_experiment(document);
      for (const std::string& line : experiment.warnings) fmt::print(stderr, "{}: warning: {}\n", path, line);
      fmt::print("{}: good\n", path);
    } catch (const Error& error) {
      if (!overrides.empty()) fmt::print(stderr, "{} with these words:\n", path);
      fmt::print(stderr, "{}\n", error.what());
      good = false;
    }
  }
  return static_cast<int>(good ? ExitCode::done : ExitCode::usage);
}

}  // namespace qtrain::run
