#include "base/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#include "base/threads.hpp"

namespace qtrain {
namespace {

namespace fs = std::filesystem;

// "max 100000" or "150000 100000": microseconds of processor time per period.
std::optional<double> quota_v2(const fs::path& group) {
  std::ifstream in(group / "cpu.max");
  double quota = 0;
  double period = 0;
  if (in >> quota >> period && quota > 0 && period > 0) return quota / period;
  return {};
}

std::optional<double> quota_v1(const fs::path& group) {
  std::ifstream quota_in(group / "cpu.cfs_quota_us");
  std::ifstream period_in(group / "cpu.cfs_period_us");
  double quota = 0;  // -1: no limit
  double period = 0;
  if (quota_in >> quota && period_in >> period && quota > 0 && period > 0) return quota / period;
  return {};
}

void lower(std::optional<double>& least, std::optional<double> quota) {
  if (quota && (!least || *quota < *least)) least = quota;
}

// The group and each parent up to the mount. In a container whose mount starts at its own group the first
// steps name folders that do not exist there, and the last one is the group itself.
template <class Quota>
void lower_along(std::optional<double>& least, const fs::path& mount, const std::string& group, Quota quota) {
  for (fs::path path = fs::path(group).relative_path(); !path.empty(); path = path.parent_path())
    lower(least, quota(mount / path));
  lower(least, quota(mount));
}

}  // namespace

std::optional<int> cgroup_processors(const fs::path& membership, const fs::path& root) {
  std::optional<double> least;
  std::ifstream in(membership);
  for (std::string line; std::getline(in, line);) {  // 4:cpu,cpuacct:/group in v1, 0::/group in v2
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      lower_along(least, root, group, quota_v2);
      lower_along(least, root / "unified", group, quota_v2);
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      lower_along(least, root / controllers, group, quota_v1);
      lower_along(least, root / "cpu", group, quota_v1);
    }
  }
  if (!least) return {};
  return static_cast<int>(std::clamp(std::ceil(*least), 1.0, 1e6));
}

int available_processors() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const bool known = sched_getaffinity(0, sizeof(mask), &mask) == 0;
  const int allowed = known ? CPU_COUNT(&mask) : static_cast<int>(std::thread::hardware_concurrency());
  const int granted = cgroup_processors("/proc/self/cgroup", "/sys/fs/cgroup").value_or(allowed);
  return std::max(1, std::min(allowed, granted));
}

}  // namespace qtrain
