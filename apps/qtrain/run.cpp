#include "run/run.hpp"

#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "commands.hpp"

namespace qtrain::cli {

void add_run(CLI::App& app, Action& action) {
  const auto request = std::make_shared<run::Request>();
  const auto words = std::make_shared<std::vector<std::string>>();
  const auto only_show = std::make_shared<bool>(false);
  app.add_option("SPEC", *words,
                 "spec to run, - for the standard input, and path=value words laid over it (train.epochs=1)")
      ->type_name("SPEC [path=value ...]");
  app.add_option("--out", request->out, "run folder, made new (default: runs/NAME-HASH-sSEED)")
      ->type_name("DIR");
  app.add_flag("--resume", request->resume,
               "continue from the folder's checkpoint, or start when there is none");
  app.add_flag("--skip-done", request->skip_done, "pass over a run that the folder holds finished");
  app.add_flag("--dry-run", *only_show, "print layers, memory and estimated time, train nothing");
  app.add_flag("--quiet", request->quiet, "print only the path of metrics.json");
  app.final_callback([&app, &action, request, words, only_show] {
    if (!app.get_subcommands().empty()) return;
    if (words->empty()) {
      if (app.count_all() > 1) throw CLI::RequiredError("SPEC");
      return;
    }
    request->spec = words->front();
    request->overrides.assign(words->begin() + 1, words->end());
    action = [request, only_show] {
      if (!*only_show) return run::run_experiment(*request);
      run::dry_run(*request);
      return static_cast<int>(ExitCode::done);
    };
  });
}

}  // namespace qtrain::cli
