#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>

namespace qtrain {

/// Processors this process may use: the smaller of its affinity mask and its cgroup's CPU quota (rounded up),
/// at least 1.
int available_processors();

/// A fixed team of threads. Waiting spins for a bounded time and then sleeps, so that a machine shared with
/// other work does not lose a core to a spin; with more threads than available processors it does not spin at
/// all.
class ThreadPool {
 public:
  /// `threads` >= 1; the constructing thread is one of them and the only one that may call run().
  /// `thread_start`, if given, runs once on each thread before its first task and must not throw.
  explicit ThreadPool(int threads, std::function<void()> thread_start = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  /// Calls `work(task, thread)` once for each task in [0, tasks), thread in [0, size()); a thread takes the
  /// next free task. Returns when all are done. Tasks may throw: the others still run, and the exception of
  /// the lowest task is rethrown here. Not from inside a task. No allocation.
  template <class Work>
  void run(int tasks, Work&& work) {
    struct Call {
      static void invoke(void* self, int task, int thread) {
        (*static_cast<std::remove_reference_t<Work>*>(self))(task, thread);
      }
    };
    run_erased(tasks, &Call::invoke, const_cast<void*>(static_cast<const void*>(&work)));
  }

 private:
  void run_erased(int tasks, void (*invoke)(void*, int, int), void* work);
  struct State;
  std::unique_ptr<State> state_;
};

/// Values that run_ranges() hands out at once: some passes over them stay in a core's cache.
inline constexpr std::size_t kRange = std::size_t{1} << 15;

/// Calls `work(first, count)` on any thread once for each of the ranges of at most kRange values that make up
/// [0, size). The ranges do not depend on the threads.
template <class Work>
void run_ranges(ThreadPool& pool, std::size_t size, Work&& work) {
  pool.run(static_cast<int>((size + kRange - 1) / kRange), [&](int task, int) {
    const std::size_t first = static_cast<std::size_t>(task) * kRange;
    work(first, std::min(kRange, size - first));
  });
}

}  // namespace qtrain
