#pragma once
#include <CLI/CLI.hpp>
#include <functional>

namespace qtrain::cli {

/// What the chosen verb does; returns the exit code.
using Action = std::function<int()>;

/// Each adds one verb to the command line and sets `action` when it is the chosen one.
void add_run(CLI::App& app, Action& action);  ///< the bare form: no verb
void add_check(CLI::App& app, Action& action);
void add_list(CLI::App& app, Action& action);
void add_reference(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);

}  // namespace qtrain::cli
