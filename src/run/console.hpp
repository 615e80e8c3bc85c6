#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "train/trainer.hpp"

namespace spdlog {
class logger;
}

namespace qtrain::run {

/// What a run tells: lines on stdout (none when quiet), warnings on stderr, both in log.txt once it is open.
/// Writing to a stdout that nobody reads any more is no error.
class Console {
 public:
  /// A mute one, of a process that does not lead, tells nothing.
  explicit Console(bool quiet, bool mute = false);
  ~Console();

  /// Appends to this file too from now on.
  void open_log(const std::filesystem::path& path);
  void say(std::string_view line);
  void warn(std::string_view line);
  void log(std::string_view line);        ///< to the log alone
  void log_error(std::string_view line);  ///< to the log alone: who catches the error prints it
  /// On a terminal one line that is overwritten; elsewhere a line every half minute. `targets` says what is
  /// counted ("images"), `epochs` and `remaining_targets` are of the whole run.
  void progress(const train::Progress& progress, std::string_view targets, int epochs,
                double remaining_targets);
  /// The last line of stdout: printed even when quiet.
  void result_path(const std::filesystem::path& path);

 private:
  void erase_progress();
  void print(std::string_view text);

  bool quiet_, mute_;
  bool terminal_;
  bool progress_shown_ = false;
  std::chrono::steady_clock::time_point last_progress_;
  std::shared_ptr<spdlog::logger> log_;
};

/// "1:02:03", "2:03": hours, minutes, seconds.
std::string duration_text(double seconds);

}  // namespace qtrain::run
