#include "run/console.hpp"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <unistd.h>

#include <cstdio>

namespace qtrain::run {

Console::Console(bool quiet, bool mute)
    : quiet_(quiet || mute),
      mute_(mute),
      terminal_(isatty(STDOUT_FILENO) == 1),
      last_progress_(std::chrono::steady_clock::now()) {}

Console::~Console() { erase_progress(); }

void Console::open_log(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    log_ = std::make_shared<spdlog::logger>("qtrain", std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    fail(ExitCode::failed, "cannot write {}: {}; check that its folder may be written and has space",
         path.string(), error.what());
  }
  log_->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
  log_->set_error_handler([](const std::string& /*reason*/) {});  // a lost log line must not disturb the run
  log_->flush_on(spdlog::level::info);
}

void Console::print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Console::erase_progress() {
  if (progress_shown_) print("\r\033[K");
  progress_shown_ = false;
}

void Console::say(std::string_view line) {
  if (log_) log_->info("{}", line);
  if (quiet_) return;
  erase_progress();
  print(fmt::format("{}\n", line));
}

void Console::warn(std::string_view line) {
  if (log_) log_->warn("{}", line);
  erase_progress();
  if (!mute_) fmt::print(stderr, "warning: {}\n", line);
}

void Console::log(std::string_view line) {
  if (log_) log_->info("{}", line);
}

void Console::log_error(std::string_view line) {
  if (log_) log_->error("{}", line);
}

void Console::progress(const train::Progress& progress, std::string_view targets, int epochs,
                       double remaining_targets) {
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::milliseconds interval(terminal_ ? 200 : 30'000);
  if (quiet_ || now - last_progress_ < interval) return;
  last_progress_ = now;
  const std::string phase = progress.training ? "" : " evaluating";
  std::string line =
      fmt::format("epoch {}/{}{}  batch {}/{}  loss {:.4f}  {:.0f} {}/s", progress.epoch, epochs, phase,
                  progress.batch, progress.batches, progress.loss, progress.targets_per_second, targets);
  if (progress.training && progress.targets_per_second > 0)
    line += fmt::format("  ETA {}", duration_text(remaining_targets / progress.targets_per_second));
  if (!terminal_) return print(line + "\n");
  print(fmt::format("\r\033[K{}", line));
  progress_shown_ = true;
}

void Console::result_path(const std::filesystem::path& path) {
  if (mute_) return;
  erase_progress();
  print(path.string() + "\n");
}

std::string duration_text(double seconds) {
  const auto total = static_cast<long long>(seconds + 0.5);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

}  // namespace qtrain::run
