#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>

#include "base/error.hpp"
#include "commands.hpp"
#include "run/machine.hpp"

namespace {

using qtrain::ExitCode;

int execute(const qtrain::cli::Action& action) {
  try {
    return action();
  } catch (const qtrain::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "out of memory: lower dataset.batch_size or choose a smaller model\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "internal error: {}\n", error.what());
  }
  return static_cast<int>(ExitCode::failed);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains quantized networks on CPUs. One experiment is one YAML file.", "qtrain");
  app.set_version_flag("--version", fmt::format("qtrain {}", qtrain::run::kVersion));
  app.require_subcommand(0, 1);
  qtrain::cli::Action action;
  qtrain::cli::add_run(app, action);
  qtrain::cli::add_check(app, action);
  qtrain::cli::add_list(app, action);
  qtrain::cli::add_eval(app, action);
  qtrain::cli::add_export(app, action);
  qtrain::cli::add_reference(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {
    return app.exit(wanted);
  } catch (const CLI::ParseError& mistake) {
    fmt::print(stderr, "{}; `qtrain --help` tells how it is used\n", mistake.what());
    return static_cast<int>(ExitCode::usage);
  }
  if (!action) {
    fmt::print("{}", app.help());
    return static_cast<int>(ExitCode::done);
  }
  return execute(action);
}
