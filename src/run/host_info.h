// What the machine says about itself.
#pragma once

#include <cstdint>
#include <string>

namespace prefold {

std::string cpu_name();            // "unknown processor" if it does not say
int64_t peak_rss_bytes();          // of this process so far
int64_t available_memory_bytes();  // MemAvailable, or less if the cgroup's limit is nearer

}  // namespace prefold
