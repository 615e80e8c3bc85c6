#include "base/threads.hpp"

#include <doctest/doctest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/processors.hpp"
#include "temporary_folder.hpp"

namespace qtrain {
namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("every task runs once, on a thread of the pool, whatever the sizes") {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (const int tasks : {0, 1, 2, 3, 64, 1000}) {
      std::vector<int> calls(static_cast<std::size_t>(tasks));
      std::atomic<int> strays{0};
      pool.run(tasks, [&](int task, int thread) {
        ++calls[static_cast<std::size_t>(task)];
        if (thread < 0 || thread >= threads) ++strays;
      });
      CHECK(strays == 0);
      CHECK(calls == std::vector<int>(calls.size(), 1));
    }
  }
}

TEST_CASE("ranges cover each value once, the same ones whatever the threads") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kRange, kRange + 1, 3 * kRange - 1}) {
    std::vector<std::vector<std::size_t>> counts;
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      std::vector<std::size_t>& count_at = counts.emplace_back(size + 1);  // by where the range begins
      run_ranges(pool, size, [&](std::size_t first, std::size_t count) { count_at.at(first) += count; });
      std::size_t next = 0;
      while (next < size && count_at[next] > 0 && count_at[next] <= kRange) next += count_at[next];
      CHECK(next == size);
      CHECK(std::accumulate(count_at.begin(), count_at.end(), std::size_t{0}) == size);
    }
    CHECK(counts[0] == counts[1]);
  }
}

TEST_CASE("plain memory written by tasks is seen after run and in the next run") {
  ThreadPool pool(3);
  std::vector<long> values(17);
  for (int round = 0; round < 5000; ++round) {
    const long expected = round;
    pool.run(17, [&](int task, int) {
      long& value = values[static_cast<std::size_t>(task)];
      if (value == expected) ++value;
    });
  }
  CHECK(values == std::vector<long>(17, 5000));
}

TEST_CASE("workers that went to sleep wake up again") {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> inside{0};
    pool.run(2, [&](int, int) {  // returns only when both threads are in
      ++inside;
      while (inside < 2) std::this_thread::yield();
    });
    CHECK(inside == 2);
  }
}

TEST_CASE("the exception of the lowest task is rethrown after all tasks ran, and the pool goes on") {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 100; ++round) {
      std::atomic<int> ran{0};
      const auto work = [&](int task, int) {
        ++ran;
        if (task == 3 || task == 7) throw std::runtime_error("task " + std::to_string(task));
      };
      CHECK_THROWS_WITH_AS(pool.run(16, work), "task 3", std::runtime_error);
      CHECK(ran == 16);
    }
    int ran = 0;
    pool.run(1, [&](int, int) { ++ran; });
    CHECK(ran == 1);
  }
}

TEST_CASE("run inside a task, or on a foreign thread, is refused") {
  ThreadPool pool(1);
  CHECK_THROWS_AS(pool.run(1, [&](int, int) { pool.run(1, [](int, int) {}); }), Error);
  bool refused = false;
  std::thread([&] {
    try {
      pool.run(1, [](int, int) {});
    } catch (const Error&) {
      refused = true;
    }
  }).join();
  CHECK(refused);
  CHECK_THROWS_AS(ThreadPool(0), Error);
}

TEST_CASE("the start hook runs once on each thread, before its tasks") {
  std::mutex mutex;
  std::multiset<std::thread::id> started;
  std::atomic<int> unprepared{0};
  {
    ThreadPool pool(3, [&] {
      const std::lock_guard lock(mutex);
      started.insert(std::this_thread::get_id());
    });
    pool.run(100, [&](int, int) {
      const std::lock_guard lock(mutex);
      if (started.count(std::this_thread::get_id()) != 1) ++unprepared;
    });
  }
  CHECK(unprepared == 0);
  CHECK(started.size() == 3);
  CHECK(started.count(std::this_thread::get_id()) == 1);
}

TEST_CASE("a pool that never ran, and many short-lived ones, stop cleanly") {
  std::atomic<int> ran{0};
  for (int round = 0; round < 200; ++round) {
    ThreadPool pool(3);
    if (round % 2 == 0) pool.run(3, [&](int, int) { ++ran; });
  }
  CHECK(ran == 300);
}

TEST_CASE("available processors follow the affinity mask") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof(before), &before) == 0);
  CHECK(available_processors() >= 1);
  CHECK(available_processors() <= CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
  const int pinned = available_processors();
  REQUIRE(sched_setaffinity(0, sizeof(before), &before) == 0);
  CHECK(pinned == 1);
}

TEST_CASE("cgroup v2: the tightest quota of the group and its parents, rounded up") {
  const testing::TemporaryFolder folder;
  const auto membership = folder / "membership";
  const auto root = folder / "root";
  write(membership, "0::/outer/inner\n");
  CHECK(!cgroup_processors(membership, root));
  write(root / "outer/inner/cpu.max", "max 100000\n");
  CHECK(!cgroup_processors(membership, root));
  write(root / "outer/cpu.max", "250000 100000\n");
  CHECK(cgroup_processors(membership, root) == 3);
  write(root / "outer/inner/cpu.max", "10000 100000\n");
  CHECK(cgroup_processors(membership, root) == 1);
  write(root / "outer/inner/cpu.max", "800000 100000\n");
  CHECK(cgroup_processors(membership, root) == 3);
  write(root / "cpu.max", "200000 100000\n");  // as in a container that sees its own group as the root
  CHECK(cgroup_processors(membership, root) == 2);
}

TEST_CASE("cgroup v1: the quota of the cpu controller, wherever it is mounted") {
  const testing::TemporaryFolder folder;
  const auto membership = folder / "membership";
  const auto root = folder / "root";
  write(membership, "4:cpu,cpuacct:/job\n3:cpuset:/job\n1:name=systemd:/job\nnonsense\n");
  write(root / "cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  write(root / "cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  CHECK(!cgroup_processors(membership, root));
  write(root / "cpu,cpuacct/job/cpu.cfs_quota_us", "350000\n");
  CHECK(cgroup_processors(membership, root) == 4);
  write(root / "cpu/cpu.cfs_quota_us", "100000\n");
  write(root / "cpu/cpu.cfs_period_us", "50000\n");
  CHECK(cgroup_processors(membership, root) == 2);
  CHECK(!cgroup_processors(folder / "absent", root));
}

}  // namespace qtrain
