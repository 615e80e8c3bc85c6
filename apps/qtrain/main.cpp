#include <fcntl.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <vector>

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
  } catch (const std::filesystem::filesystem_error& error) {
    fmt::print(stderr, "cannot use {}: {}; name another path\n", error.path1().string(),
               error.code().message());
  } catch (const std::system_error& error) {  // of the system's, not the program's making
    fmt::print(stderr, "{}; check where the output goes and its space\n", error.what());
  } catch (const std::exception& error) {
    fmt::print(stderr, "internal error: {}\n", error.what());
  }
  return static_cast<int>(ExitCode::failed);
}

/// Files that are opened must not become the standard streams.
void open_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream)
    if (fcntl(stream, F_GETFD) == -1) ::open("/dev/null", stream == 0 ? O_RDONLY : O_WRONLY);
}

/// The exit code, or that of a failure where the output of a verb that only prints was lost.
int printed(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  fmt::print(stderr, "cannot write to standard output; check where it goes and its space\n");
  return code == 0 ? static_cast<int>(ExitCode::failed) : code;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  CLI::App app("Trains quantized networks on CPUs. One experiment is one YAML file.", "qtrain");
  app.set_version_flag("--version", [] {
    return fmt::format("qtrain {} ({})", qtrain::run::kVersion, qtrain::run::program_digest());
  });
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
    return printed(app.exit(wanted));
  } catch (const CLI::ParseError& mistake) {
    const std::vector<CLI::App*> verbs = app.get_subcommands();
    const std::string verb = verbs.empty() ? "" : verbs.front()->get_name() + " ";
    fmt::print(stderr, "{}; `qtrain {}--help` tells how it is used\n", mistake.what(), verb);
    return static_cast<int>(ExitCode::usage);
  }
  if (!action) {
    fmt::print("{}", app.help());
    return printed(static_cast<int>(ExitCode::done));
  }
  const bool trains = app.get_subcommands().empty() && app.count("--dry-run") == 0;
  return trains ? execute(action) : printed(execute(action));
}
