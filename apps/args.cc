#include "args.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <map>

#include "kernels/cpu/kernels.h"

namespace prefold {
namespace {

constexpr int kCannotRun = 2;

const char kFooter[] = R"(
Examples:
  prefold run -m model.gguf -i prompts.jsonl -o results.jsonl --report report.json
  zcat prompts.jsonl.gz | prefold run -m model.gguf -i - -o - > results.jsonl
  prefold plan -m model.gguf -i prompts.jsonl

An input line, short or as in OpenAI's Batch API:
  {"id": "q1", "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
  {"id": "q2", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}

Exit status: 0 all answered, 1 some requests failed (see "error" in the results),
2 the run could not start or finish.)";

// An option that takes one of several words; the first one is the default.
template <typename T>
CLI::Option* add_choice(CLI::App& app, const std::string& name, T& value,
                        const std::vector<std::pair<std::string, T>>& choices,
                        const std::string& help) {
  std::vector<std::string> words;
  for (const auto& [word, meaning] : choices) words.push_back(word);
  const auto take = [&value, choices, words, name](const std::string& typed) {
    for (const auto& [word, meaning] : choices) {
      if (word != typed) continue;
      value = meaning;
      return;
    }
    throw CLI::ValidationError(
        fmt::format("{} is \"{}\"; expected one of {}", name, typed, fmt::join(words, ", ")));
  };
  return app.add_option_function<std::string>(name, take, help)
      ->option_text(fmt::format("{} [{}]", fmt::join(words, "|"), words.front()));
}

void add_model(CLI::App& app, std::string& model) {
  app.add_option("-m,--model", model, "Model: a GGUF file")->required();
}

void add_inputs(CLI::App& app, RunOptions& run) {
  app.add_option("-i,--input", run.inputs,
                 "Prompts, one JSON object a line; may be given several times; - is standard "
                 "input; .gz and .zst are unpacked")
      ->required()
      ->allow_extra_args(false);
}

void add_plan_options(CLI::App& app, RunOptions& run) {
  add_choice<Sharing>(
      app, "--sharing", run.sharing,
      {{"tree", Sharing::kTree}, {"none", Sharing::kNone}, {"lru", Sharing::kLru}},
      "tree: compute each shared prefix once; none: every prompt by itself; lru: reuse "
      "blocks that happen to be in memory still, as servers do");
  app.add_option(
         "--kv-memory", run.kv_memory_bytes,
         "Bytes of KV cache at most, e.g. 512MB or 6GB [60 % of the memory available; 90 % of "
         "what weights and steps leave of a GPU's]")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--max-model-len", run.max_model_len,
                 "Tokens of prompt and answer together at most [the model's context, or what the "
                 "KV cache holds]")
      ->check(CLI::Range(1, INT32_MAX));
  app.add_option("--threads", run.threads, "Threads [all this process may use]")
      ->check(CLI::Range(1, 1024));
  app.add_option("--max-tokens", run.defaults.max_tokens,
                 "Tokens to answer at most, where a line does not say [up to the context's end]")
      ->check(CLI::Range(1, INT32_MAX));
}

// What the parts of the plan bring can be measured by turning them off; answers stay the same.
void add_ablations(CLI::App& app, RunOptions& run) {
  const std::vector<std::pair<std::string, bool>> on_off{{"on", true}, {"off", false}};
  const std::string group = "Parts of the plan (for measurements; answers stay the same)";
  add_choice<bool>(app, "--attention", run.shared_attention, {{"shared", true}, {"flat", false}},
                   "shared: read a shared prefix once for all its requests; flat: once for each")
      ->group(group);
  add_choice<Batching>(
      app, "--batching", run.batching,
      {{"packed", Batching::kPacked}, {"sorted", Batching::kSorted}, {"padded", Batching::kPadded}},
      "packed: prompts end to end, no padding; padded: the prompts of a step take as many rows as "
      "its longest one, with chunked prefill off; sorted: padded, in order of length, not --order")
      ->group(group);
  add_choice<Order>(
      app, "--order", run.order, {{"ratio", Order::kRatio}, {"file", Order::kFile}},
      "ratio: requests with many output tokens for their prompt first; file: input order")
      ->group(group);
  add_choice<bool>(app, "--chunked-prefill", run.chunked_prefill, on_off,
                   "Mix decodes with chunks of prompts in one step")
      ->group(group);
  add_choice<bool>(app, "--length-prediction", run.length_prediction, on_off,
                   "Set memory aside for predicted lengths, not for max_tokens")
      ->group(group);
  add_choice<bool>(app, "--cuda-graphs", run.cuda_graphs, on_off,
                   "On a GPU: replay the recorded launches of steps of few tokens")
      ->group(group);
  add_choice<MoeGrouping>(
      app, "--moe-grouping", run.moe_grouping,
      {{"on", MoeGrouping::kGrouped}, {"off", MoeGrouping::kOff}},
      "Models of experts, on the CPU: multiply a step's rows by expert; off: row by row")
      ->group(group);
}

void add_sampling_defaults(CLI::App& app, RunOptions& run) {
  constexpr const char* kOtherwise = "[the model's generation_config.json, else {}]";
  const auto otherwise = [&](const char* value) {
    return fmt::format(fmt::runtime(kOtherwise), value);
  };
  app.add_option("--temperature", run.defaults.temperature,
                 "Where a line does not say; 0 is greedy " + otherwise("1"))
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", run.defaults.top_p, "Where a line does not say " + otherwise("1"))
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--top-k", run.defaults.top_k,
                 "Where a line does not say; 0 is all " + otherwise("0"))
      ->check(CLI::Range(0, INT32_MAX));
  app.add_option("--seed", run.seed, "For sampling, where a line has no seed of its own")
      ->capture_default_str();
}

void add_engine_options(CLI::App& app, RunOptions& run) {
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
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--cost-model", run.cost_model,
                 "What steps cost, a JSON file: it decides how many tokens a step takes and which "
                 "prefixes attention reads once [measured in the first run with a model, then kept "
                 "in $PREFOLD_CACHE or ~/.cache/prefold]");
  add_choice<std::optional<KvType>>(app, "--kv-type", run.kv_type,
                                    {{"f32", KvType::kF32},
                                     {"f16", KvType::kF16},
                                     {"bf16", KvType::kBF16},
                                     {"int8", KvType::kInt8}},
                                    "What keys and values are stored as")
      ->option_text("f32|f16|bf16|int8 [f32; f16 with --precision fast]");
  add_choice<std::optional<Precision>>(
      app, "--precision", run.precision, {{"exact", Precision::kExact}, {"fast", Precision::kFast}},
      "exact: f32 activations, the answer of an f32 reference; fast: on the CPU activations in 8 "
      "bits where weights or the KV cache are quantised, on a GPU in the 16 bits of --kv-type")
      ->option_text("exact|fast [exact; fast on a GPU]");
  add_ablations(app, run);
  app.add_option("--cpu-isa", run.cpu_isa, "Kernels: auto, scalar, avx2, avx512 or avx512vnni")
      ->capture_default_str();
}

void add_run(CLI::App& root, Args& args) {
  CLI::App& app = *root.add_subcommand("run", "Answer all prompts");
  app.footer(kFooter);
  RunOptions& run = args.run;
  add_model(app, run.model);
  add_inputs(app, run);
  app.add_option("-o,--output", run.output, "Results, one JSON object a line; - is standard output")
      ->required();
  app.add_flag("--overwrite", run.overwrite, "Replace an output that is there already");
  app.add_option("--report", run.report, "Write a JSON report to this file");
  app.add_option(
      "--length-prior", run.length_prior,
      "Report of an earlier run of such a job: answers are expected to be as long as its "
      "were, until enough of this run's are known");
  app.add_flag("--ordered", run.ordered, "Results in input order, not as requests finish");
  app.add_flag("--usage-details", run.usage_details,
               "Write cached_tokens with each result (they depend on the schedule)");
  app.add_flag("-q,--quiet", run.quiet, "Errors only on standard error");
  add_sampling_defaults(app, run);
  add_choice<Pooling>(
      app, "--pooling", run.pooling, {{"last", Pooling::kLast}, {"mean", Pooling::kMean}},
      "Of embedding lines: the hidden state of the last token, or the mean of those of all tokens");
  add_plan_options(app, run);
  add_engine_options(app, run);
}

void add_plan(CLI::App& root, Args& args) {
  CLI::App& app = *root.add_subcommand(
      "plan", "Show what prompts share and what a run would compute; loads no weights");
  add_model(app, args.run.model);
  add_inputs(app, args.run);
  add_plan_options(app, args.run);
  add_engine_options(app, args.run);
}

void add_bench(CLI::App& root, Args& args) {
  CLI::App& app = *root.add_subcommand(
      "bench", "Run seeded workloads and compare with what this machine can do at most");
  BenchOptions& bench = args.bench;
  app.add_option("-m,--model", bench.run.model, "Model: a GGUF file");
  app.add_option("--emit", bench.emit,
                 "Write the workloads and a manifest.json into this folder, and run nothing");
  app.add_option("--workload", bench.workloads, "Names, separated by commas or spaces [all]")
      ->delimiter(',');
  app.add_option("--seed", bench.seed, "Of the workloads")->capture_default_str();
  app.add_option("--repeat", bench.repeat, "Runs of each, after one that does not count")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--ablate", bench.ablate,
               "Run each switch by itself too, and check that the answers stay the same");
  app.add_option("--json", bench.json, "Write every figure to this file");
  add_plan_options(app, bench.run);
  add_engine_options(app, bench.run);
}

void add_inspect(CLI::App& root, Args& args) {
  CLI::App& app = *root.add_subcommand(
      "inspect", "Describe a model: architecture, sizes, quantisations, context, memory needed");
  app.add_option("model", args.model, "A GGUF file")->required();
}

void add_tokenize(CLI::App& root, Args& args) {
  CLI::App& app = *root.add_subcommand(
      "tokenize",
      "JSON lines {\"text\", \"add_special\"?, \"parse_special\"?} on standard input to {\"ids\"}");
  add_model(app, args.model);
  app.add_flag("--decode", args.decode, "The way back: {\"ids\", \"skip_special\"?} to {\"text\"}");
}

void add_render(CLI::App& root, Args& args) {
  CLI::App& app = *root.add_subcommand(
      "render",
      "JSON lines {\"messages\", \"add_generation_prompt\"?, \"bos_token\"?, \"eos_token\"?, "
      "\"now\"?} on standard input to {\"text\"} or {\"error\"} by the model's chat template");
  add_model(app, args.model);
  app.add_option("--template", args.template_file, "A Jinja file to use instead of the model's");
}

}  // namespace

std::optional<int> parse_args(int argc, char** argv, Args& args) {
  CLI::App app{
      "prefold answers a file of prompts with a local language model, computing what the "
      "prompts share only once.",
      "prefold"};
  app.require_subcommand(1);
  app.set_version_flag("--version", [] {
    return fmt::format("prefold {} ({})", PREFOLD_VERSION, find_cpu_kernels("auto").isa);
  });
  app.footer("prefold COMMAND --help tells more.");
  add_run(app, args);
  add_plan(app, args);
  add_bench(app, args);
  add_inspect(app, args);
  add_tokenize(app, args);
  add_render(app, args);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kCannotRun;
  }
  const std::map<std::string, Command> commands{
      {"run", Command::kRun},           {"plan", Command::kPlan},
      {"bench", Command::kBench},       {"inspect", Command::kInspect},
      {"tokenize", Command::kTokenize}, {"render", Command::kRender}};
  args.command = commands.at(app.get_subcommands().front()->get_name());
  return std::nullopt;
}

}  // namespace prefold
