#include "run/signals.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <thread>

namespace qtrain::run {
namespace {

std::atomic<int> stop_requested{0};
std::atomic<bool> checkpoint_requested{false};
std::array<char, 160> notice{};  ///< what a worker of several says when told to stop
std::size_t notice_size = 0;
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void on_stop(int signal) {
  int none = 0;
  if (!stop_requested.compare_exchange_strong(none, signal)) _exit(128 + signal);
  // Another worker may be gone, and this one waiting for it until the job is ended: what is to say is said
  // here.
  if (notice_size > 0 && write(STDERR_FILENO, notice.data(), notice_size) < 0) return;
}

void on_hangup(int /*signal*/) { checkpoint_requested.store(true); }

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

/// Leaves SIGINT, SIGTERM and SIGHUP to a thread that does nothing else; the calling thread and those it
/// starts from now on never run a handler. A handler writes below the stack of the thread that it interrupts,
/// and oneDNN's generated code keeps values there, further down than the 128 bytes that are spared:
/// with 2.6.3's sgemm four of 25 runs that got six SIGHUPs each ended with a broken heap.
void take_signals_aside() {
  static bool done = false;
  if (done) return;
  done = true;
  std::thread([] {
    for (;;) pause();
  }).detach();
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

void install_signal_handlers(int worker) {
  if (worker >= 0)
    notice_size =
        fmt::format_to_n(notice.data(), notice.size(),
                         "worker {}: told to stop, as all are when one of them ends; the last checkpoint "
                         "is whole, go on with --resume\n",
                         worker)
            .size;
  handle(SIGINT, on_stop);
  handle(SIGTERM, on_stop);
  handle(SIGHUP, on_hangup);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN);
  take_signals_aside();
}

int stop_signal() { return stop_requested.load(); }
bool take_checkpoint_request() { return checkpoint_requested.exchange(false); }

}  // namespace qtrain::run
