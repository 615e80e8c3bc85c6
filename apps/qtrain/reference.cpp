#include <fmt/format.h>

#include <cstdio>

#include "base/error.hpp"
#include "commands.hpp"
#include "run/run.hpp"

namespace qtrain::cli {

void add_reference(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("reference", "every key of a spec, as Markdown");
  verb->callback([&action] {
    action = [] {
      fmt::print("{}", run::reference_text());
      return static_cast<int>(ExitCode::done);
    };
  });
}

}  // namespace qtrain::cli
