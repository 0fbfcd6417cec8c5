// Seeded workloads for `prefold bench`, made of texts that are part of the program: no download, no
// tokenizer, the same bytes on every machine. docs/benchmarking.md describes each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

struct BenchRequest {
  std::string id;  // "<workload>-<number>", numbered before shuffling: group by group
  std::string prompt;
  int32_t max_tokens = 0;  // and no fewer: end tokens are ignored
};

struct Workload {
  std::string name;
  std::string description;
  uint64_t seed = 0;
  std::vector<BenchRequest> requests;
};

// Names of all workloads, in the order in which they are run.
std::vector<std::string> workload_names();

// The same requests for the same seed, whatever other workloads are made. Throws Error for a name
// that is none of workload_names().
Workload make_workload(std::string_view name, uint64_t seed);

}  // namespace prefold
