// Options by which a run is watched, and looked at afterwards.
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

void add_report_options(CLI::App& app, ReportOptions& report) {
  app.description(
      app.get_description() +
      "\n\nReads what --report of a run wrote and makes one HTML page of it, which loads "
      "nothing from anywhere: tokens per step, KV memory and sequences over time, what "
      "prompts share, when answers were done, and where the time went.");
  app.footer(
      "Examples:\n  prefold report report.json -o page.html\n"
      "  prefold report before.json after.json -o page.html");
  app.add_option("report", report.reports, "Reports of one run, or of two to be compared")
      ->required()
      ->expected(1, 2)
      ->type_name("FILE");
  app.add_option("-o,--output", report.output, "The page; - is standard output")
      ->required()
      ->type_name("FILE");
}

}  // namespace prefold
