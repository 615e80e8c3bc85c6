#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "commands.hpp"
#include "run/run.hpp"

namespace qtrain::cli {

void add_list(CLI::App& app, Action& action) {
  const auto group = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("list", "what a spec can name, with its equations");
  verb->add_option("GROUP", *group, "one group only")->check(CLI::IsMember(run::list_groups()));
  verb->callback([&action, group] {
    action = [group] {
      fmt::print("{}", run::list_text(*group));
      return static_cast<int>(ExitCode::done);
    };
  });
}

}  // namespace qtrain::cli
