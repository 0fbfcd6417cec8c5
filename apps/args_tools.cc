// Options of the commands about models and measurements: inspect, tokenize, render, bench.
#include "args_options.h"

namespace prefold {

void add_inspect_options(CLI::App& app, InspectOptions& inspect) {
  app.add_option("model", inspect.model, "A GGUF file or a Hugging Face folder")
      ->required()
      ->type_name("MODEL");
}

void add_tokenize_options(CLI::App& app, TokenizeOptions& tokenize) {
  add_model(app, tokenize.model)->required();
  app.add_flag("--decode", tokenize.decode,
               "The way back: {\"ids\", \"skip_special\"?} to {\"text\"}");
}

void add_render_options(CLI::App& app, RenderOptions& render) {
  add_model(app, render.model)->required();
  app.add_option("--template", render.template_file, "A Jinja file to use instead of the model's")
      ->type_name("FILE");
}

void add_bench_options(CLI::App& app, BenchOptions& bench) {
  add_model(app, bench.run.model);
  app.add_option("--emit", bench.emit,
                 "Write the workloads and a manifest.json into this folder, and run nothing")
      ->type_name("FOLDER");
  app.add_option("--workload", bench.workloads, "Names, separated by commas or spaces [all]")
      ->delimiter(',')
      ->type_name("NAMES");
  app.add_option("--seed", bench.seed, "Of the workloads")->capture_default_str()->type_name("N");
  app.add_option("--repeat", bench.repeat, "Runs of each, after one that does not count")
      ->check(CLI::Range(1, 1000))
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
