#include "base/cpu_set.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "base/thread_pool.h"
#include "temp_file.h"

namespace prefold {
namespace {

namespace fs = std::filesystem;

// A made-up /sys/fs/cgroup.
class FakeCgroups {
 public:
  FakeCgroups() : root_(name_.path() + ".d") {}
  ~FakeCgroups() { fs::remove_all(root_); }
  std::string root() const { return root_; }
  void add(const std::string& file, const std::string& content) const {
    const fs::path path = fs::path(root_) / file;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }

 private:
  TempFile name_{""};
  std::string root_;
};

TEST_CASE("the quota of cgroup v2 is the least of the group and its ancestors") {
  const FakeCgroups cgroups;
  cgroups.add("cpu.max", "max 100000\n");
  cgroups.add("jobs/cpu.max", "250000 100000\n");
  cgroups.add("jobs/mine/cpu.max", "400000 100000\n");
  CHECK(cgroup_cpu_quota("0::/jobs/mine\n", cgroups.root()) == 2.5);
  CHECK_FALSE(cgroup_cpu_quota("0::/\n", cgroups.root()).has_value());
  // Seen from inside a container, the path may not exist; the visible root then holds the limit.
  cgroups.add("cpu.max", "150000 100000\n");
  CHECK(cgroup_cpu_quota("0::/docker/abc\n", cgroups.root()) == 1.5);
}

TEST_CASE("the quota of cgroup v1 is read from the cpu controller") {
  const FakeCgroups cgroups;
  cgroups.add("cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n");
  cgroups.add("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  cgroups.add("cpu/b/cpu.cfs_quota_us", "-1\n");
  cgroups.add("cpu/b/cpu.cfs_period_us", "100000\n");
  const std::string lines = "5:memory:/a\n3:cpu,cpuacct:/a/deeper\n0::/\n";
  CHECK(cgroup_cpu_quota(lines, cgroups.root()) == 0.5);
  CHECK_FALSE(cgroup_cpu_quota("2:cpu:/b\n", cgroups.root()).has_value());
}

TEST_CASE("nonsense in cgroup files means no quota") {
  const FakeCgroups cgroups;
  cgroups.add("cpu.max", "banana\n");
  CHECK_FALSE(cgroup_cpu_quota("0::/\n", cgroups.root()).has_value());
  CHECK_FALSE(cgroup_cpu_quota("garbage without colons", cgroups.root()).has_value());
  CHECK_FALSE(cgroup_cpu_quota("", cgroups.root()).has_value());
}

TEST_CASE("there is at least one processor to use and never more than the mask holds") {
  CHECK(usable_thread_count() >= 1);
  CHECK(usable_thread_count() <= static_cast<int32_t>(allowed_cpus().size()));
}

}  // namespace
}  // namespace prefold
