#include "bench_runs.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "run/prepared_job.h"
#include "run/run_job.h"

namespace prefold {
namespace {

std::vector<std::string> sorted_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "prefold-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    throw Error(fmt::format("{}: a folder for the workloads cannot be made", name));
  }
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;  // a destructor has nobody to tell
  std::filesystem::remove_all(path_, ignored);
}

std::string to_json_lines(const Workload& workload) {
  std::string lines;
  for (const BenchRequest& request : workload.requests) {
    const nlohmann::ordered_json line = {{"id", request.id},
                                         {"prompt", request.prompt},
                                         {"max_tokens", request.max_tokens},
                                         {"ignore_eos", true},
                                         {"temperature", 0}};
    lines += line.dump() + "\n";
  }
  return lines;
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file) throw Error(fmt::format("{}: cannot be written", path));
}

WorkloadNeeds needs_of(const RunOptions& options, const std::string& input) {
  const ModelFile model = open_model(options.model);
  const RunConfig config = resolve(options, model);
  ThreadPool pool(config.threads);
  const TextModel text = make_text_model(model, std::time(nullptr));
  RequestReader reader({input}, config.defaults);
  const PrepareHooks hooks{
      [](const LineError& error, int64_t) { throw Error(error.failure.message); },
      [](int64_t, int64_t) {}};
  PreparedJob prepared = prepare_job(std::move(reader), text, config, pool, hooks);
  const PrefixTree tree = build_prefix_tree(prepared.prompts, prepared.adapters);
  if (config.options.sharing == Sharing::kTree) find_repeats(prepared, tree);
  WorkloadNeeds needs;
  needs.work = work_of(make_job(prepared, tree, Pooling::kLast), model.config);
  needs.flops = flops_of(needs.work, model.config);
  const auto bytes_for = [&](int64_t n_tokens) {
    return (n_tokens + kKvBlockTokens - 1) / kKvBlockTokens * config.kv_bytes_per_block;
  };
  needs.kv_bytes = bytes_for(needs.work.rows);
  needs.least_kv_bytes = bytes_for(needs.work.longest);
  return needs;
}

BenchRun run_once(RunOptions options, const std::string& input, const std::string& output) {
  options.inputs = {input};
  options.output = output;
  options.overwrite = true;
  const RunOutcome outcome = run_job(options, {[](const Note&) {}, [](const ProgressCounts&) {}});
  if (outcome.status != ExitStatus::kAllAnswered) {
    throw Error(fmt::format("{} of {} requests failed", outcome.metrics.requests.failed,
                            outcome.metrics.requests.total));
  }
  return {outcome.metrics.time.total_s - outcome.metrics.time.load_s, outcome.metrics,
          sorted_lines(output)};
}

Measured summarize(std::span<const BenchRun> runs) {
  std::vector<const BenchRun*> by_time;
  Measured measured;
  for (const BenchRun& run : runs) {
    measured.seconds.push_back(run.seconds);
    by_time.push_back(&run);
  }
  std::sort(by_time.begin(), by_time.end(),
            [](const BenchRun* a, const BenchRun* b) { return a->seconds < b->seconds; });
  const BenchRun& median = *by_time[(by_time.size() - 1) / 2];
  measured.median_s = median.seconds;
  measured.best_s = by_time.front()->seconds;
  measured.metrics = median.metrics;
  return measured;
}

}  // namespace prefold
