#include "run/host_info.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <optional>

namespace prefold {
namespace {

std::optional<int64_t> number_in_file(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

std::optional<int64_t> mem_available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, rest;
  int64_t kib = 0;
  while (file >> key >> kib && std::getline(file, rest)) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return std::nullopt;
}

std::optional<int64_t> cgroup_room_bytes() {
  const auto limit = number_in_file("/sys/fs/cgroup/memory.max");
  const auto used = number_in_file("/sys/fs/cgroup/memory.current");
  if (limit && used) return std::max<int64_t>(0, *limit - *used);
  return std::nullopt;
}

}  // namespace

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t available_memory_bytes() {
  const int64_t machine = mem_available_bytes().value_or(int64_t{4} << 30);
  return std::min(machine, cgroup_room_bytes().value_or(machine));
}

}  // namespace prefold
