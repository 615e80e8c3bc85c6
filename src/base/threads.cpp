#include "base/threads.hpp"

#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace qtrain {
namespace {

// Some hundred microseconds, about one shard of one layer: a sleeper at each of a step's 40 barriers would
// pay a wake-up, which costs tens of microseconds on a virtual machine.
constexpr int kSpins = 16000;
constexpr int kClosed = 1 << 30;  // bit of the gate; the bits below count the workers inside

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Waits until `value` is no longer `old`: `spins` pauses, then sleep.
void wait_while(const std::atomic<int>& value, int old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

// A round opens the gate, counts `round` up and wakes the workers. A worker enters by adding one to the gate
// and works only if it was open; the caller, once no task is left to take, closes the gate and waits until
// nobody is inside. So the call's fields change only while no worker reads them, and a worker that wakes too
// late is not waited for.
struct ThreadPool::State {
  State(int threads, std::function<void()> start)
      : spins(available_processors() < threads ? 0 : kSpins), thread_start(std::move(start)) {
    workers.reserve(static_cast<std::size_t>(threads - 1));
  }

  ~State() {
    stopping.store(true, std::memory_order_relaxed);
    round.fetch_add(1, std::memory_order_release);
    round.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  void work_loop(int thread) {
    if (thread_start) thread_start();
    for (int seen = 0;;) {
      wait_while(round, seen, spins);
      seen = round.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_relaxed)) return;
      if ((gate.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) take_tasks(thread);
      if (gate.fetch_sub(1, std::memory_order_release) == (kClosed | 1)) gate.notify_one();
    }
  }

  void take_tasks(int thread) {
    for (;;) {
      const int task = next_task.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks) return;
      try {
        invoke(work, task, thread);
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (!failure || task < failed_task) {
          failure = std::current_exception();
          failed_task = task;
        }
      }
    }
  }

  void open() {
    gate.fetch_sub(kClosed, std::memory_order_release);
    round.fetch_add(1, std::memory_order_release);
    round.notify_all();
  }

  void close() {
    for (int inside = gate.fetch_add(kClosed, std::memory_order_acquire) + kClosed; inside != kClosed;
         inside = gate.load(std::memory_order_acquire))
      wait_while(gate, inside, spins);
  }

  const int spins;
  const std::function<void()> thread_start;
  const std::thread::id owner = std::this_thread::get_id();
  bool running = false;

  void (*invoke)(void*, int, int) = nullptr;
  void* work = nullptr;
  int tasks = 0;

  alignas(64) std::atomic<int> next_task{0};
  alignas(64) std::atomic<int> gate{kClosed};
  alignas(64) std::atomic<int> round{0};
  std::atomic<bool> stopping{false};

  std::mutex failure_mutex;
  std::exception_ptr failure;
  int failed_task = 0;
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(int threads, std::function<void()> thread_start) {
  QTRAIN_CHECK(threads >= 1, "a pool of {} threads", threads);
  state_ = std::make_unique<State>(threads, std::move(thread_start));
  if (state_->thread_start) state_->thread_start();
  try {
    for (int thread = 1; thread < threads; ++thread)
      state_->workers.emplace_back([state = state_.get(), thread] { state->work_loop(thread); });
  } catch (const std::system_error& error) {
    fail(ExitCode::failed, "cannot start {} threads: {}; ask for fewer threads or raise the process limit",
         threads, error.what());
  }
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::size() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::run_erased(int tasks, void (*invoke)(void*, int, int), void* work) {
  State& state = *state_;
  QTRAIN_CHECK(std::this_thread::get_id() == state.owner && !state.running,
               "run() called inside a task or on a thread that does not own the pool");
  if (tasks <= 0) return;
  state.invoke = invoke;
  state.work = work;
  state.tasks = tasks;
  state.next_task.store(0, std::memory_order_relaxed);
  state.running = true;
  const bool alone = tasks == 1 || state.workers.empty();
  if (!alone) state.open();
  state.take_tasks(0);
  if (!alone) state.close();
  state.running = false;
  if (state.failure) std::rethrow_exception(std::exchange(state.failure, nullptr));
}

}  // namespace qtrain
