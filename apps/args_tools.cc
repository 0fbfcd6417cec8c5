// Options of the commands about models and measurements: inspect, tokenize, render, bench.
#include "args_options.h"
#include "option_checks.h"

namespace prefold {

void add_inspect_options(CLI::App& app, InspectOptions& inspect) {
  app.footer("Examples:\n  prefold inspect model.gguf\n  prefold inspect Qwen3-4B/");
  app.add_option("model", inspect.model, "A GGUF file or a Hugging Face folder")
      ->required()
      ->type_name("MODEL");
}

void add_tokenize_options(CLI::App& app, TokenizeOptions& tokenize) {
  app.description(
      app.get_description() +
      "\n\nReads JSON lines {\"text\", \"add_special\"?, \"parse_special\"?} on standard input "
      "and writes {\"ids\"} for each, or {\"error\"}.");
  app.footer(
      "Examples:\n  echo '{\"text\": \"Hello\"}' | prefold tokenize -m model.gguf\n"
      "  echo '{\"ids\": [1, 2]}' | prefold tokenize -m model.gguf --decode");
  add_model(app, tokenize.model)->required();
  app.add_flag("--decode", tokenize.decode,
               "The other way: {\"ids\", \"skip_special\"?} to {\"text\"}");
}

void add_render_options(CLI::App& app, RenderOptions& render) {
  app.description(app.get_description() +
                  "\n\nReads JSON lines {\"messages\", \"add_generation_prompt\"?, \"tools\"?, "
                  "\"now\"?} on standard "
                  "input and writes {\"text\"} for each, or {\"error\"}. Other members are "
                  "variables of the template.");
  app.footer(R"(Examples:
  echo '{"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true}' |
    prefold render -m model.gguf)");
  add_model(app, render.model)->required();
  app.add_option("--template", render.template_file, "A Jinja file to use instead of the model's")
      ->type_name("FILE");
}

void add_bench_options(CLI::App& app, BenchOptions& bench) {
  app.footer(
      "Examples:\n  prefold bench -m model.gguf\n  prefold bench -m model.gguf --workload "
      "groups,mixed "
      "--ablate --json figures.json\n  prefold bench --emit workloads/");
  add_model(app, bench.run.model);
  app.add_option("--emit", bench.emit,
                 "Write the workloads and a manifest.json into this folder, and run nothing")
      ->type_name("FOLDER");
  app.add_option("--workload", bench.workloads, "Names, separated by commas or spaces [all]")
      ->delimiter(',')
      ->type_name("NAMES");
  app.add_option("--seed", bench.seed, "Of the workloads")
      ->check(number_in<uint64_t>(0, UINT64_MAX))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--repeat", bench.repeat, "Runs of each, after one that does not count")
      ->check(number_in(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  app.add_flag("--ablate", bench.ablate,
               "Run each switch by itself too, and check that the answers stay the same");
  app.add_option("--json", bench.json, "Write every figure to this file")->type_name("FILE");
  add_plan_options(app, bench.run);
  add_engine_options(app, bench.run);
  add_ablation_options(app, bench.run);
}

}  // namespace prefold
