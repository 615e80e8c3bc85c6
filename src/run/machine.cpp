#include "run/machine.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <numeric>
#include <vector>

#include "base/threads.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::run {

const char* const kVersion = QTRAIN_VERSION;

const std::string& program_digest() {
  static const std::string digest = [] {
    std::ifstream in("/proc/self/exe", std::ios::binary);
    const std::string program((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    return program.empty() ? "" : fmt::format("{:016x}", XXH3_64bits(program.data(), program.size()));
  }();
  return digest;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::int64_t peak_memory_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

double measure_peak(int threads) {
  constexpr std::size_t kIterations = 200'000;
  constexpr int kRounds = 20;
  ThreadPool pool(threads);
  std::vector<double> done(static_cast<std::size_t>(threads));
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto started = std::chrono::steady_clock::now();
    pool.run(threads, [&done](int task, int /*thread*/) {
      done[static_cast<std::size_t>(task)] = kernels::active().multiply_add_burn(kIterations);
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    best = std::max(best, std::accumulate(done.begin(), done.end(), 0.0) / seconds.count());
  }
  return best;
}

}  // namespace qtrain::run
