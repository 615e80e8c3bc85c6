#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "run/run.hpp"

namespace qtrain::cli {

namespace {

/// A word path=value, and no file of such a name.
bool is_override(const std::string& word) {
  return word.find('=') != std::string::npos && !std::filesystem::exists(word);
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  const auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = app.add_subcommand("check", "check specs and print every mistake");
  verb->add_option("SPEC", *words, "specs, and path=value words laid over each of them")
      ->required()
      ->type_name("SPEC ... [path=value ...]");
  verb->callback([&action, words] {
    std::vector<std::string> paths, overrides;
    for (const std::string& word : *words) (is_override(word) ? overrides : paths).push_back(word);
    if (paths.empty()) throw CLI::RequiredError("SPEC");
    action = [paths, overrides] { return run::check_specs(paths, overrides); };
  });
}

}  // namespace qtrain::cli
