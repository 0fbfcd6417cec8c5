// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace prefold {

std::string human_count(int64_t count);     // 812, 12.3 k, 1.24 M, 45.0 G
std::string human_bytes(int64_t n_bytes);   // 512 B, 1.50 KiB, 6.00 GiB
std::string human_seconds(double seconds);  // 0.4 ms, 12.5 ms, 3.21 s, 2:05, 1:02:03
std::string human_clock(double seconds);    // 0:41, 12:05, 1:02:03
std::string human_rate(double per_second);  // 0.42, 8.12, 812, 12.3 k
// Of part in whole; never rounded up to 100.0 %, nor down to 0.0 %, when it is not that.
std::string human_percent(int64_t part, int64_t whole);  // 87.3 %

}  // namespace prefold
