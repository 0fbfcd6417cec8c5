// The commands of a job that is divided among machines: plan --shards and merge.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/timer.h"
#include "commands.h"
#include "plan/plan_table.h"
#include "report/human_numbers.h"
#include "report/run_log.h"
#include "run/divide_job.h"
#include "run/run_job.h"

namespace prefold {
namespace {

constexpr size_t kShownShards = 20;
constexpr size_t kShownUnfinished = 20;

// What the shards of a division have in common.
struct Totals {
  int64_t n_prefill = 0;
  int64_t n_again = 0;
  double longest_s = 0;
};

Totals totals_of(const LineShards& divided) {
  Totals totals;
  for (const ShardEntry& shard : divided.shards) {
    totals.n_prefill += shard.n_prefill_tokens;
    totals.n_again += shard.n_again;
    totals.longest_s = std::max(totals.longest_s, shard.time_s);
  }
  return totals;
}

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0.0; }

// Without measured costs only how times compare is known.
std::string shown_time(double seconds, const DividedJob& job) {
  return job.time_is_known ? human_seconds(seconds)
                           : fmt::format("{:.3f} %", percent(seconds, job.whole_s));
}

std::string comparison_header() {
  return fmt::format("{:>6} {:>13} {:>10} {:>16} {:>8}\n", "shards", "longest", "of bound",
                     "tokens again", "%");
}

std::string comparison_row(const LineShards& divided, const DividedJob& job) {
  const Totals totals = totals_of(divided);
  const double of_bound = divided.bound_s > 0 ? totals.longest_s / divided.bound_s : 1.0;
  return fmt::format("{:>6} {:>13} {:>10.4f} {:>16} {:>8.3f}\n", divided.shards.size(),
                     shown_time(totals.longest_s, job), of_bound, grouped(totals.n_again),
                     percent(static_cast<double>(totals.n_again),
                             static_cast<double>(totals.n_prefill - totals.n_again)));
}

std::string shard_table(const LineShards& divided, const DividedJob& job) {
  std::string text = fmt::format("{:>6} {:>12} {:>15} {:>15} {:>13} {:>13}\n", "shard", "lines",
                                 "prompt tokens", "to compute", "of it again", "time");
  for (size_t i = 0; i < std::min(divided.shards.size(), kShownShards); ++i) {
    const ShardEntry& shard = divided.shards[i];
    text += fmt::format("{:>6} {:>12} {:>15} {:>15} {:>13} {:>13}\n", i, grouped(shard.n_lines),
                        grouped(shard.n_prompt_tokens), grouped(shard.n_prefill_tokens),
                        grouped(shard.n_again), shown_time(shard.time_s, job));
  }
  if (divided.shards.size() > kShownShards) {
    text += fmt::format("   ... {} more\n", divided.shards.size() - kShownShards);
  }
  return text;
}

void tell_unfinished(const MergeOutcome& outcome, const std::string& folder) {
  for (size_t i = 0; i < std::min(outcome.unfinished.size(), kShownUnfinished); ++i) {
    const UnfinishedShard& shard = outcome.unfinished[i];
    fmt::print(stderr, "shard {}: {} of {} lines have no result in {}: {}{}\n", shard.shard,
               grouped(shard.n_missing), grouped(shard.n_lines),
               shard_results_path(folder, shard.shard), fmt::join(shard.first_ids, ", "),
               shard.n_missing > std::ssize(shard.first_ids) ? ", ..." : "");
  }
  if (outcome.unfinished.size() > kShownUnfinished) {
    fmt::print(stderr, "... {} shards more\n", outcome.unfinished.size() - kShownUnfinished);
  }
  fmt::print(stderr, "{} shards are not finished; nothing was written\n",
             outcome.unfinished.size());
}

}  // namespace

int divide_command(const PlanOptions& options) {
  RunLog log(stderr, LogFormat::kText, options.run.quiet);
  Timer timer;
  const DivideHooks hooks{[&](const std::string& line) {
                            log.clear();
                            fmt::print(stderr, "{}\n", line);
                          },
                          [&](int64_t n_lines, int64_t n_tokens) {
                            log.reading({n_lines, n_tokens}, timer.seconds());
                          }};
  const DividedJob job = divide_job(options.run, options.shards, options.shard_dir, hooks);
  log.clear();
  if (job.was_there) {
    fmt::print("{} holds these {} shards already\n", options.shard_dir, options.shards.front());
    return 0;
  }
  fmt::print("{} lines, {} prompt tokens, {} to compute on one machine{}\n", grouped(job.n_lines),
             grouped(job.n_prompt_tokens), grouped(job.n_tree_tokens),
             job.time_is_known ? ", " + human_seconds(job.whole_s) : "");
  if (!job.time_is_known) {
    fmt::print("no run has measured what a step costs here: times are parts of the whole\n");
  }
  fmt::print("\n{}", comparison_header());
  for (const LineShards& divided : job.divisions) fmt::print("{}", comparison_row(divided, job));
  if (job.divisions.size() == 1) fmt::print("\n{}", shard_table(job.divisions.front(), job));
  if (job.n_failed > 0) {
    fmt::print(stderr, "{} lines are no requests that could be answered\n", job.n_failed);
  }
  const bool left_to_runs = !options.shard_dir.empty();
  return job.n_failed > 0 && !left_to_runs ? static_cast<int>(ExitStatus::kSomeFailed) : 0;
}

int merge_command(const MergeOptions& options) {
  const MergeOutcome outcome = merge_shards(options, [&](const std::string& line) {
    if (!options.quiet) fmt::print(stderr, "{}\n", line);
  });
  if (outcome.status == ExitStatus::kStopped) {
    tell_unfinished(outcome, options.folder);
  } else if (!options.quiet) {
    fmt::print(stderr, "{} results, {} of them failed\n", grouped(outcome.n_lines),
               grouped(outcome.n_failed));
  }
  return static_cast<int>(outcome.status);
}

}  // namespace prefold
