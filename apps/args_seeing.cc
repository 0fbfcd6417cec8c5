// Options by which a run is watched.
#include "add_choice.h"
#include "args_options.h"

namespace prefold {

void add_seeing_options(CLI::App& app, RunOptions& run) {
  add_choice<LogFormat>(app, "--log-format", run.log_format,
                        {{"text", LogFormat::kText}, {"json", LogFormat::kJson}},
                        "Of standard error: text, with a progress bar on a terminal, or one JSON "
                        "object a line");
  app.add_option("--metrics", run.metrics,
                 "Keep the run's figures in this file for node_exporter's textfile collector: "
                 "replaced every 10 s and at the end, always whole")
      ->type_name("FILE");
}

}  // namespace prefold
