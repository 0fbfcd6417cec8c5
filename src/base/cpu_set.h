// Which processors this process may use, and how much of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace prefold {

// Processors of the affinity mask, one of each physical core first, then their hyperthread
// siblings. Empty if the system does not say.
std::vector<int32_t> allowed_cpus();

// Processors' worth of time that the process's cgroup and those above it may use per period: the
// least of cpu.max (v2) or cpu.cfs_quota_us / cpu.cfs_period_us (v1). Empty: unlimited or unknown.
// self_cgroup is the text of /proc/self/cgroup, root the mount point /sys/fs/cgroup.
std::optional<double> cgroup_cpu_quota(const std::string& self_cgroup, const std::string& root);

}  // namespace prefold
