// The bench command: seeded workloads, run in process, against what the machine can do at most.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "apps/machine_peaks.h"
#include "base/error.h"
#include "bench_report.h"
#include "bench_runs.h"
#include "commands.h"
#include "io/fingerprint.h"
#include "model/model_file.h"

namespace prefold {
namespace {

constexpr const char* kManifestSchema = "prefold-workloads/1";

// What --ablate changes, one thing at a time. No switch may change an answer.
struct Switch {
  const char* name;
  void (*apply)(RunOptions& options, const WorkloadNeeds& needs);
  bool of_experts = false;  // of layers of experts on the CPU, without effect elsewhere
};

// A pool of so many percent of what the job's rows take in all.
template <Sharing kSharing, int64_t kPercent>
void with_pool(RunOptions& options, const WorkloadNeeds& needs) {
  options.sharing = kSharing;
  options.kv_memory_bytes = std::max(needs.kv_bytes * kPercent / 100, needs.least_kv_bytes);
}

constexpr Switch kSwitches[] = {
    {"default", [](RunOptions&, const WorkloadNeeds&) {}},
    {"sharing none", [](RunOptions& o, const WorkloadNeeds&) { o.sharing = Sharing::kNone; }},
    {"sharing lru", [](RunOptions& o, const WorkloadNeeds&) { o.sharing = Sharing::kLru; }},
    {"sharing lru, KV pool 100 %", with_pool<Sharing::kLru, 100>},
    {"sharing tree, KV pool 100 %", with_pool<Sharing::kTree, 100>},
    {"sharing lru, KV pool 50 %", with_pool<Sharing::kLru, 50>},
    {"sharing tree, KV pool 50 %", with_pool<Sharing::kTree, 50>},
    {"sharing lru, KV pool 25 %", with_pool<Sharing::kLru, 25>},
    {"sharing tree, KV pool 25 %", with_pool<Sharing::kTree, 25>},
    {"attention flat", [](RunOptions& o, const WorkloadNeeds&) { o.shared_attention = false; }},
    {"batching padded",
     [](RunOptions& o, const WorkloadNeeds&) { o.batching = Batching::kPadded; }},
    {"batching sorted",
     [](RunOptions& o, const WorkloadNeeds&) { o.batching = Batching::kSorted; }},
    {"order file", [](RunOptions& o, const WorkloadNeeds&) { o.order = Order::kFile; }},
    {"chunked prefill off", [](RunOptions& o, const WorkloadNeeds&) { o.chunked_prefill = false; }},
    {"length prediction off",
     [](RunOptions& o, const WorkloadNeeds&) { o.length_prediction = false; }},
    {"CUDA graphs off", [](RunOptions& o, const WorkloadNeeds&) { o.cuda_graphs = false; }},
    {"moe grouping off",
     [](RunOptions& o, const WorkloadNeeds&) { o.moe_grouping = MoeGrouping::kOff; }, true},
    {"step of 128 tokens",
     [](RunOptions& o, const WorkloadNeeds&) { o.max_num_batched_tokens = 128; }},
    {"step of 2048 tokens",
     [](RunOptions& o, const WorkloadNeeds&) { o.max_num_batched_tokens = 2048; }},
};

// The default alone, or all that can make a difference with this model.
std::vector<Switch> switches_of(const BenchOptions& options) {
  if (!options.ablate) return {kSwitches[0]};
  std::vector<Switch> switches(std::begin(kSwitches), std::end(kSwitches));
  const ModelFile model = open_model(options.run.model);
  if (model.config.moe.n_experts == 0 || resolve(options.run, model).backend != BackendKind::kCpu) {
    std::erase_if(switches, [](const Switch& s) { return s.of_experts; });
  }
  return switches;
}

std::vector<Workload> make_workloads(const BenchOptions& options) {
  std::vector<Workload> workloads;
  for (const std::string& name : options.workloads.empty() ? workload_names() : options.workloads) {
    workloads.push_back(make_workload(name, options.seed));
  }
  return workloads;
}

void emit(const std::vector<Workload>& workloads, const BenchOptions& options) {
  const std::filesystem::path folder(options.emit);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(fmt::format("--emit {}: {}", options.emit, error.message()));
  nlohmann::ordered_json manifest = {{"schema", kManifestSchema},
                                     {"seed", options.seed},
                                     {"workloads", nlohmann::ordered_json::array()}};
  for (const Workload& workload : workloads) {
    const std::string name = workload.name + ".jsonl";
    write_file((folder / name).string(), to_json_lines(workload));
    manifest["workloads"].push_back({{"name", workload.name},
                                     {"file", name},
                                     {"requests", workload.requests.size()},
                                     {"description", workload.description},
                                     {"seed", workload.seed}});
    fmt::print("{:<12} {:>4} requests: {}\n", workload.name, workload.requests.size(),
               workload.description);
  }
  write_file((folder / "manifest.json").string(), manifest.dump(2) + "\n");
}

// Taken anew before each workload; the best counts, for a machine that others use too. A GPU's is
// not measured.
double fma_peak(const RunOptions& options) {
  const RunConfig config = resolve(options, open_model(options.model));
  if (config.backend != BackendKind::kCpu) return 0.0;
  ThreadPool pool(config.threads);
  return measure_multiply_add_flops(config.cpu_isa, Precision::kExact, pool);
}

void check_same_answers(const BenchRun& run, const BenchRun& first, const std::string& workload,
                        const char* switch_name) {
  if (run.answers == first.answers) return;
  const auto differ = std::mismatch(run.answers.begin(), run.answers.end(), first.answers.begin(),
                                    first.answers.end());
  throw Error(fmt::format("{}: \"{}\" gives another answer than the default: {}", workload,
                          switch_name,
                          differ.first == run.answers.end() ? "a line is missing" : *differ.first));
}

// Each switch once a round, so that what else the machine does falls on all alike.
WorkloadResult run_workload(const BenchOptions& options, const Workload& workload,
                            std::span<const Switch> switches) {
  const ScratchFolder folder;
  const std::string input = folder.file("in.jsonl");
  const std::string output = folder.file("out.jsonl");
  const std::string lines = to_json_lines(workload);
  write_file(input, lines);
  WorkloadResult result{workload,
                        "siphash128:" + to_hex(fingerprint({0, 0}, lines)),
                        needs_of(options.run, input),
                        {}};
  const BenchRun warm_up = run_once(options.run, input, output);
  std::vector<std::vector<BenchRun>> runs(switches.size());
  for (int32_t round = 0; round < options.repeat; ++round) {
    for (size_t i = 0; i < switches.size(); ++i) {
      RunOptions changed = options.run;
      switches[i].apply(changed, result.needs);
      runs[i].push_back(run_once(changed, input, output));
      check_same_answers(runs[i].back(), warm_up, workload.name, switches[i].name);
      fmt::print(stderr, "{}, {}, run {} of {}: {:.2f} s\n", workload.name, switches[i].name,
                 round + 1, options.repeat, runs[i].back().seconds);
    }
  }
  for (size_t i = 0; i < switches.size(); ++i) {
    result.switches.push_back({switches[i].name, summarize(runs[i])});
  }
  return result;
}

}  // namespace

int bench_command(const BenchOptions& options) {
  const std::vector<Workload> workloads = make_workloads(options);
  if (!options.emit.empty()) {
    emit(workloads, options);
    return 0;
  }
  if (options.run.model.empty()) {
    throw Error("bench needs a model (-m) to run, or a folder (--emit) to write workloads into");
  }
  const std::vector<Switch> switches = switches_of(options);
  BenchResult result{0, options.seed, options.repeat, {}};
  for (const Workload& workload : workloads) {
    result.fma_flops = std::max(result.fma_flops, fma_peak(options.run));
    result.workloads.push_back(run_workload(options, workload, switches));
  }
  fmt::print("{}\n{}\n{}", machine_line(result), workload_table(result), op_table(result));
  if (options.ablate) {
    for (const WorkloadResult& workload : result.workloads) {
      fmt::print("\n{}", ablation_table(workload));
    }
    fmt::print("\nAll answers are the same to the byte.\n");
  }
  if (!options.json.empty()) write_file(options.json, bench_json(result).dump(2) + "\n");
  return 0;
}

}  // namespace prefold
