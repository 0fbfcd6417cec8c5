#include "base/cpu_set.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/thread_pool.h"

namespace prefold {
namespace {

std::string read_small_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A quota over a period; empty for "max", a negative quota, or text that is neither.
std::optional<double> quota_of(const std::string& quota_and_period) {
  std::istringstream words(quota_and_period);
  double quota = 0.0, period = 0.0;
  if (!(words >> quota >> period) || quota <= 0.0 || period <= 0.0) return std::nullopt;
  return quota / period;
}

// The quota of one cgroup directory, whichever version it is.
std::optional<double> quota_of_directory(const std::string& directory) {
  if (const auto quota = quota_of(read_small_file(directory + "/cpu.max"))) return quota;
  return quota_of(read_small_file(directory + "/cpu.cfs_quota_us") + " " +
                  read_small_file(directory + "/cpu.cfs_period_us"));
}

void keep_least(std::optional<double>& least, std::optional<double> quota) {
  if (quota && (!least || *quota < *least)) least = quota;
}

// The affinity mask in index order. A machine may have more processors than cpu_set_t holds, so the
// mask grows until the kernel accepts it.
std::vector<int32_t> affinity_mask() {
  for (int32_t n_cpus = CPU_SETSIZE; n_cpus <= (1 << 20); n_cpus *= 2) {
    const size_t n_bytes = CPU_ALLOC_SIZE(n_cpus);
    const auto free_set = [](cpu_set_t* set) { CPU_FREE(set); };
    const std::unique_ptr<cpu_set_t, decltype(free_set)> set(CPU_ALLOC(n_cpus), free_set);
    if (set == nullptr) return {};
    CPU_ZERO_S(n_bytes, set.get());
    if (sched_getaffinity(0, n_bytes, set.get()) != 0) {
      if (errno == EINVAL) continue;
      return {};
    }
    std::vector<int32_t> cpus;
    for (int32_t cpu = 0; cpu < n_cpus; ++cpu) {
      if (CPU_ISSET_S(cpu, n_bytes, set.get())) cpus.push_back(cpu);
    }
    return cpus;
  }
  return {};
}

}  // namespace

std::vector<int32_t> allowed_cpus() {
  std::vector<int32_t> first_of_core, siblings;
  std::set<std::string> cores_seen;
  for (const int32_t cpu : affinity_mask()) {
    const std::string core = read_small_file(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    const bool is_first = core.empty() || cores_seen.insert(core).second;
    (is_first ? first_of_core : siblings).push_back(cpu);
  }
  first_of_core.insert(first_of_core.end(), siblings.begin(), siblings.end());
  return first_of_core;
}

std::optional<double> cgroup_cpu_quota(const std::string& self_cgroup, const std::string& root) {
  std::optional<double> least;
  std::istringstream lines(self_cgroup);
  // Lines are "id:controllers:/path"; v2 has no controllers. A limit binds everything below it, and
  // a container may see its own cgroup as the root, so every ancestor is asked.
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool is_v2 = controllers.empty();
    if (!is_v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    std::string path = line.substr(second + 1);
    while (!path.empty()) {
      if (path == "/") path.clear();
      if (is_v2) {
        keep_least(least, quota_of_directory(root + path));
      } else {
        keep_least(least, quota_of_directory(root + "/" + controllers + path));
        keep_least(least, quota_of_directory(root + "/cpu" + path));
      }
      const size_t slash = path.rfind('/');
      if (slash == std::string::npos) break;
      path = slash == 0 ? "/" : path.substr(0, slash);
    }
  }
  return least;
}

int32_t usable_thread_count() {
  int32_t n_threads = std::max<int32_t>(1, static_cast<int32_t>(affinity_mask().size()));
  const auto quota = cgroup_cpu_quota(read_small_file("/proc/self/cgroup"), "/sys/fs/cgroup");
  if (quota && *quota < n_threads) {
    n_threads = std::max<int32_t>(1, static_cast<int32_t>(std::ceil(*quota)));
  }
  return n_threads;
}

}  // namespace prefold
