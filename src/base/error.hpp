#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace qtrain {

/// Exit codes of the program; an Error carries the one its cause deserves.
enum class ExitCode { done = 0, failed = 1, usage = 2, data = 3, diverged = 4 };

/// One sentence for the user: what is wrong, where, what to do.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace qtrain

/// An invariant of the program itself; its failure is a bug, not a user's mistake.
#define QTRAIN_CHECK(condition, ...)                                                            \
  do {                                                                                          \
    if (!(condition))                                                                           \
      throw ::qtrain::Error(::qtrain::ExitCode::failed,                                         \
                            fmt::format("internal error at {}:{}: {} ({})", __FILE__, __LINE__, \
                                        fmt::format(__VA_ARGS__), #condition));                 \
  } while (false)
