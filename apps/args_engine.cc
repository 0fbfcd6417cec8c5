// Options of how a job is computed: plan, device, memory, precision. None of them can lose a
// request; which can change answers is said with each.
#include <fmt/format.h>

#include "add_choice.h"
#include "args_options.h"
#include "option_checks.h"

namespace prefold {

void add_plan_options(CLI::App& app, RunOptions& run) {
  app.option_defaults()->group("Plan and memory");
  add_choice<Sharing>(
      app, "--sharing", run.sharing,
      {{"tree", Sharing::kTree}, {"none", Sharing::kNone}, {"lru", Sharing::kLru}},
      "tree: compute each shared prefix once; none: every prompt by itself; lru: reuse "
      "blocks that happen to be in memory still, as servers do");
  app.add_option("--kv-memory", run.kv_memory_bytes,
                 "Memory of the KV cache at most, e.g. 512MB or 6GB, of 1024 each [60 % of the "
                 "memory available; 90 % of "
                 "what weights and steps leave of a GPU's]")
      ->transform(byte_size())
      ->type_name("BYTES");
  app.add_option("--max-model-len", run.max_model_len,
                 "Tokens of prompt and answer together at most [the model's context, or what the "
                 "KV cache holds]")
      ->check(number_in(1, INT32_MAX))
      ->type_name("N");
}

void add_length_prior(CLI::App& app, RunOptions& run) {
  app.add_option("--length-prior", run.length_prior,
                 "Report of an earlier run of such a job: answers are expected to be as long as "
                 "its were, until enough of this run's are known")
      ->type_name("FILE");
}

void add_engine_options(CLI::App& app, RunOptions& run) {
  app.option_defaults()->group("Engine");
  add_choice<DeviceChoice>(
      app, "--device", run.device,
      {{"auto", DeviceChoice::kAuto}, {"cpu", DeviceChoice::kCpu}, {"cuda", DeviceChoice::kCuda}},
      "What computes: cuda is an NVIDIA GPU, auto takes one if there is one");
  app.add_flag("--deterministic", run.deterministic,
               "On a GPU: answers do not depend on the batch, to the bit, as on the CPU they never "
               "do; without, large steps may use cuBLAS");
  app.add_option("--max-num-batched-tokens", run.max_num_batched_tokens,
                 fmt::format("Tokens of prefill and decode that one step may process [by the cost "
                             "model; {} on a GPU]",
                             kGpuTokenBudget))
      ->check(number_in(1, 1 << 20))
      ->type_name("N");
  app.add_option("--cost-model", run.cost_model,
                 "What steps cost, a JSON file: it decides how many tokens a step takes and which "
                 "prefixes attention reads once [measured in the first run with a model, then kept "
                 "in $PREFOLD_CACHE or ~/.cache/prefold]")
      ->type_name("FILE");
  add_choice<std::optional<KvType>>(app, "--kv-type", run.kv_type,
                                    {{"f32", KvType::kF32},
                                     {"f16", KvType::kF16},
                                     {"bf16", KvType::kBF16},
                                     {"int8", KvType::kInt8}},
                                    "What keys and values are stored as")
      ->default_str("f32; f16 with --precision fast");
  add_choice<std::optional<Precision>>(
      app, "--precision", run.precision, {{"exact", Precision::kExact}, {"fast", Precision::kFast}},
      "exact: f32 activations, the answer of an f32 reference; fast: on the CPU activations in 8 "
      "bits where weights or the KV cache are quantised, on a GPU in the 16 bits of --kv-type")
      ->default_str("exact; fast on a GPU");
  app.add_option("--threads", run.threads, "Threads [all this process may use]")
      ->check(number_in(1, 1024))
      ->type_name("N");
  app.add_option(
         "--cpu-isa", run.cpu_isa,
         "The CPU kernels to use, at most what this processor can do; answers stay the same")
      ->capture_default_str()
      ->type_name("auto|scalar|avx2|avxvnni|avx512|avx512vnni");
}

// What the parts of the plan bring can be measured by turning them off; answers stay the same.
void add_ablation_options(CLI::App& app, RunOptions& run) {
  app.option_defaults()->group("Parts of the plan (for measurements; answers stay the same)");
  const std::vector<std::pair<std::string, bool>> on_off{{"on", true}, {"off", false}};
  add_choice<bool>(app, "--attention", run.shared_attention, {{"shared", true}, {"flat", false}},
                   "shared: read a shared prefix once for all its requests; flat: once for each");
  add_choice<Batching>(
      app, "--batching", run.batching,
      {{"packed", Batching::kPacked}, {"sorted", Batching::kSorted}, {"padded", Batching::kPadded}},
      "packed: prompts end to end, no padding; padded: the prompts of a step take as many rows as "
      "its longest one, with chunked prefill off; sorted: padded, in order of length, not --order");
  add_choice<Order>(
      app, "--order", run.order, {{"ratio", Order::kRatio}, {"file", Order::kFile}},
      "ratio: requests with many output tokens for their prompt first; file: input order");
  add_choice<bool>(app, "--chunked-prefill", run.chunked_prefill, on_off,
                   "Mix decodes with chunks of prompts in one step");
  add_choice<bool>(app, "--length-prediction", run.length_prediction, on_off,
                   "Set memory aside for predicted lengths, not for max_tokens");
  add_choice<bool>(app, "--cuda-graphs", run.cuda_graphs, on_off,
                   "On a GPU: replay the recorded launches of steps of few tokens");
  add_choice<MoeGrouping>(
      app, "--moe-grouping", run.moe_grouping,
      {{"on", MoeGrouping::kGrouped}, {"off", MoeGrouping::kOff}},
      "Models of experts, on the CPU: multiply a step's rows by expert; off: row by row");
}

}  // namespace prefold
