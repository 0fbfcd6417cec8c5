// Runs of one workload, as `prefold bench` takes them.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "bench/job_work.h"
#include "bench/workloads.h"
#include "report/metrics.h"
#include "run/options.h"

namespace prefold {

// A folder for one process, removed with all that is in it.
class ScratchFolder {
 public:
  ScratchFolder();  // throws Error
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// The requests as input lines, each ended.
std::string to_json_lines(const Workload& workload);

// Throws Error naming the path.
void write_file(const std::string& path, const std::string& content);

// What a workload takes with a model, before anything is run.
struct WorkloadNeeds {
  JobWork work;
  double flops = 0;
  int64_t kv_bytes = 0;        // of every row of the job, none given up
  int64_t least_kv_bytes = 0;  // the smallest pool that answers every request
};
WorkloadNeeds needs_of(const RunOptions& options, const std::string& input);

struct BenchRun {
  double seconds = 0;  // from start to end, less the loading of the model
  RunMetrics metrics;
  std::vector<std::string> answers;  // the lines of the output, sorted
};

// Throws Error if a request fails.
BenchRun run_once(RunOptions options, const std::string& input, const std::string& output);

struct Measured {
  std::vector<double> seconds;  // of all runs, in the order taken
  double median_s = 0;          // of an even number: the lower one of the two in the middle
  double best_s = 0;
  RunMetrics metrics;  // of the median run
};
Measured summarize(std::span<const BenchRun> runs);

}  // namespace prefold
