// Options of a job that is divided among machines: `prefold plan --shards` and `prefold merge`.
#include "args_options.h"

namespace prefold {
namespace {

constexpr int32_t kMaxShards = 10000;  // their files are numbered with four digits

const char kMergeExamples[] = R"(
Example:
  prefold plan -m model.gguf -i prompts.jsonl --shards 2 --shard-dir job
  prefold run -m model.gguf -i job/shard-0000.jsonl -o job/shard-0000.results.jsonl --resume
  prefold run -m model.gguf -i job/shard-0001.jsonl -o job/shard-0001.results.jsonl --resume
  prefold merge --shard-dir job -o results.jsonl

Exit status: as one run's of all lines: 0 all answered, 1 some requests failed, 2 they cannot be
merged, 3 some have no result yet (nothing is written then).)";

}  // namespace

void add_shard_options(CLI::App& app, PlanOptions& plan) {
  app.option_defaults()->group("Several machines");
  CLI::Option* shards =
      app.add_option("--shards", plan.shards,
                     "Divide the job into this many parts of equal predicted time, by what prompts "
                     "share; several numbers, separated by commas, are compared")
          ->delimiter(',')
          ->allow_extra_args(false)
          ->check(CLI::Range(1, kMaxShards))
          ->type_name("N");
  app.add_option("--shard-dir", plan.shard_dir,
                 "Write the parts into this folder: inputs of runs whose results `prefold merge` "
                 "joins; what is there already of the same job is left as it is")
      ->needs(shards)
      ->type_name("FOLDER");
}

void add_merge_options(CLI::App& app, MergeOptions& merge) {
  app.footer(kMergeExamples);
  app.add_option("--shard-dir", merge.folder, "The folder of `prefold plan --shard-dir`")
      ->required()
      ->type_name("FOLDER");
  app.add_option("-o,--output", merge.output, "All results; - is standard output")
      ->required()
      ->type_name("FILE");
  app.add_flag("--overwrite", merge.overwrite, "Replace an output that is there already");
  app.add_option("--report", merge.report, "Write one report of all shards' reports to this file")
      ->type_name("FILE");
  app.add_flag("--ordered", merge.ordered, "Results in input order, not shard by shard");
  app.add_flag("-q,--quiet", merge.quiet, "Errors only on standard error");
}

}  // namespace prefold
