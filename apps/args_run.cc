// Options of `prefold run`, `prefold plan` and `prefold check`: which subjects each has, and those
// of a job.
#include <fmt/format.h>

#include "add_choice.h"
#include "args_options.h"
#include "io/input_paths.h"
#include "job_file.h"
#include "option_checks.h"

namespace prefold {
namespace {

const char kRunExamples[] =
    R"(Examples:
  prefold run -m model.gguf -i prompts.jsonl -o results.jsonl --report report.json
  prefold run -m Qwen3-4B/ -i a.jsonl -i b.jsonl.gz -o results.jsonl --temperature 0
  prefold run -m model.gguf -i prompts.jsonl -o results.jsonl --resume --time-limit 6h
  zcat prompts.jsonl.gz | prefold run -m model.gguf -i - -o - > results.jsonl
  prefold run --config nightly.toml

A line of input, short or as in OpenAI's Batch API:
  {"id": "q1", "prompt": "The capital of France is", "max_tokens": 8}
  {"id": "q2", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
  {"custom_id": "q3", "method": "POST", "url": "/v1/chat/completions",
   "body": {"messages": [{"role": "user", "content": "Hello!"}]}}

Exit status: 0 all answered, 1 some requests failed (see "error" in the results),
2 the run could not start or finish, 3 it was stopped by a signal or a limit: the
same command with --resume goes on.)";

const char kRunDescription[] =
    "\n\nEach line of input becomes one line of output, written as soon as its request is "
    "finished. A line that cannot be answered becomes a line with an \"error\"; the others are "
    "answered.";

const char kPlanDescription[] =
    "\n\nPrints the prefixes that most prompts share, how many tokens a run would compute and "
    "reuse, and its steps, memory and time. Reads the model's vocabulary, not its weights.";

const char kCheckDescription[] =
    "\n\nReads lines as a run does, on all threads and in little memory, and prints each problem "
    "as FILE:LINE: MESSAGE [CODE]; a summary goes to standard error.";

const char kCheckExamples[] =
    R"(Examples:
  prefold check -i prompts.jsonl
  prefold check -i 'day/*.jsonl' -m model.gguf
  prefold check --config nightly.toml

Exit status: 0 no problems, 1 some lines have problems, 2 a file could not be read.)";

const char kPlanExamples[] = R"(
Examples:
  prefold plan -m model.gguf -i prompts.jsonl
  prefold plan -m model.gguf -i prompts.jsonl --shards 2,4,8,16
  prefold plan -m model.gguf -i prompts.jsonl --shards 8 --shard-dir job

Exit status: 0; 1 if some lines are no requests (with --shard-dir they are left to their
shards' runs); 2 if there can be no plan.)";

}  // namespace

void add_run_options(CLI::App& app, RunOptions& run) {
  app.description(app.get_description() + kRunDescription);
  app.footer(kRunExamples);
  app.option_defaults()->group("Model and prompts");
  add_model(app, run.model)->required();
  add_lora_option(app, run.lora);
  add_inputs(app, run.inputs);
  add_job_file(app);
  add_output_options(app, run);
  add_seeing_options(app, run);
  add_stop_options(app, run);
  add_sampling_options(app, run);
  add_plan_options(app, run);
  add_length_prior(app, run);
  add_engine_options(app, run);
  add_ablation_options(app, run);
}

void add_plan_command_options(CLI::App& app, PlanOptions& plan) {
  RunOptions& run = plan.run;
  app.description(app.get_description() + kPlanDescription);
  app.footer(kPlanExamples);
  app.option_defaults()->group("Model and prompts");
  add_model(app, run.model)->required();
  add_lora_option(app, run.lora);
  add_inputs(app, run.inputs);
  add_job_file(app);
  add_shard_options(app, plan);
  add_sampling_options(app, run);
  add_plan_options(app, run);
  add_length_prior(app, run);
  add_engine_options(app, run);
  add_ablation_options(app, run);
}

void add_check_options(CLI::App& app, CheckOptions& check) {
  app.description(app.get_description() + kCheckDescription);
  app.footer(kCheckExamples);
  app.option_defaults()->group("Model and prompts");
  add_inputs(app, check.inputs);
  add_job_file(app);
  add_model(app, check.model)
      ->description(
          "Check also what depends on the model: token ids, chat templates, names of adapters "
          "(--lora), and that prompts fit "
          "its context");
  add_lora_option(app, check.lora)->needs("--model");
  app.add_option("--threads", check.threads, "Threads [all this process may use]")
      ->check(number_in(1, 1024))
      ->type_name("N");
}

CLI::Option* add_model(CLI::App& app, std::string& model) {
  return app
      .add_option(
          "-m,--model", model,
          "A GGUF file (of a model in several files, any one of them), or a Hugging Face folder "
          "with config.json, safetensors and tokenizer.json")
      ->type_name("MODEL");
}

void add_inputs(CLI::App& app, std::vector<std::string>& inputs) {
  const auto take = [&inputs](const std::vector<std::string>& typed) {
    inputs = expand_input_paths(typed);
  };
  app.add_option_function<std::vector<std::string>>(
         "-i,--input", take,
         "Prompts, one JSON object a line; may be given several times; a pattern in quotes "
         "('day/*.jsonl') stands for all files that match; - is standard input; .gz and .zst are "
         "unpacked")
      ->required()
      ->allow_extra_args(false)
      ->type_name("FILE");
}

void add_output_options(CLI::App& app, RunOptions& run) {
  app.option_defaults()->group("Output");
  app.add_option("-o,--output", run.output, "Results, one JSON object a line; - is standard output")
      ->required()
      ->type_name("FILE");
  app.add_flag("--overwrite", run.overwrite, "Replace an output that is there already");
  add_resume_option(app, run);
  app.add_option("--report", run.report, "Write a JSON report to this file")->type_name("FILE");
  app.add_flag("--ordered", run.ordered, "Results in input order, not as requests finish");
  app.add_flag("--usage-details", run.usage_details,
               "Write cached_tokens with each result (they depend on the schedule)");
  app.add_flag("-q,--quiet", run.quiet, "Errors only on standard error");
}

void add_max_tokens(CLI::App& app, RunOptions& run) {
  app.add_option("--max-tokens", run.defaults.max_tokens,
                 "Tokens of an answer at most, where a line does not say [up to the context's end]")
      ->check(number_in(1, INT32_MAX))
      ->type_name("N");
}

void add_sampling_options(CLI::App& app, RunOptions& run) {
  app.option_defaults()->group("Sampling, where a line does not say");
  const auto otherwise = [](const char* value) {
    return fmt::format(" [the model's generation_config.json, else {}]", value);
  };
  add_max_tokens(app, run);
  app.add_option("--temperature", run.defaults.temperature,
                 "How random the draws are; 0: none, always the likeliest token" + otherwise("1"))
      ->check(number_in(0.0, 100.0))
      ->type_name("X");
  app.add_option(
         "--top-p", run.defaults.top_p,
         "Draw from the likeliest tokens that have this probability together" + otherwise("1"))
      ->check(number_in(0.0, 1.0))
      ->type_name("X");
  app.add_option("--top-k", run.defaults.top_k,
                 "Draw from this many of the likeliest tokens; 0 is all" + otherwise("0"))
      ->check(number_in(0, INT32_MAX))
      ->type_name("N");
  app.add_option("--seed", run.seed, "Of random draws")
      ->check(number_in<uint64_t>(0, UINT64_MAX))
      ->capture_default_str()
      ->type_name("N");
  add_choice<Pooling>(
      app, "--pooling", run.pooling, {{"last", Pooling::kLast}, {"mean", Pooling::kMean}},
      "Of embedding lines: the hidden state of the last token, or the mean of those of all tokens");
}

}  // namespace prefold
