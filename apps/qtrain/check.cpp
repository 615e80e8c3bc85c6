#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "run/run.hpp"

namespace qtrain::cli {

void add_check(CLI::App& app, Action& action) {
  const auto paths = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = app.add_subcommand("check", "check specs and print every mistake");
  verb->add_option("SPEC", *paths, "specs")->required()->type_name("SPEC ...");
  verb->callback([&action, paths] { action = [paths] { return run::check_specs(*paths); }; });
}

}  // namespace qtrain::cli
