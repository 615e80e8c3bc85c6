#pragma once
#include <filesystem>
#include <optional>

namespace qtrain {

/// Processors granted by the CPU quotas of a process's control groups and all their parents, rounded up;
/// empty when none is set. `membership` is its list of groups (/proc/self/cgroup), `root` the mount of the
/// hierarchies
/// (/sys/fs/cgroup). Reads cgroup v2 `cpu.max` and v1 `cpu.cfs_quota_us`; a file it cannot read sets no
/// limit.
std::optional<int> cgroup_processors(const std::filesystem::path& membership,
                                     const std::filesystem::path& root);

}  // namespace qtrain
