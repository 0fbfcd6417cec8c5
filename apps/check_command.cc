// The command that reads a job's lines and says what is wrong with them.
#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "base/thread_pool.h"
#include "base/timer.h"
#include "commands.h"
#include "model/model_file.h"
#include "report/human_numbers.h"
#include "report/run_log.h"
#include "run/check_inputs.h"
#include "run/run_model.h"
#include "run/run_notes.h"

namespace prefold {
namespace {

void print_line(const std::string& line) {
  const bool written = std::fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
                       std::fputc('\n', stdout) != EOF;
  if (!written) throw Error("standard output: write failed");
}

std::string summary(const CheckCounts& counts, const CheckOptions& options, double seconds) {
  std::string text = fmt::format("{} {} checked in {}, {} with problems", counts.n_lines,
                                 counts.n_lines == 1 ? "line" : "lines", human_seconds(seconds),
                                 counts.n_bad_lines);
  const char* before = ": ";
  for (const auto& [code, n] : counts.problems) {
    text += fmt::format("{}{} {}", before, n, code);
    before = ", ";
  }
  text += '\n';
  if (!options.model.empty()) {
    text += fmt::format("prompts: {} tokens, the longest {}\n", counts.n_prompt_tokens,
                        counts.longest_prompt);
  }
  if (!counts.extra_fields.none()) {
    text += fmt::format("unknown fields, passed through to the results: {}\n",
                        counts.extra_fields.to_text());
  }
  return text;
}

}  // namespace

int check_command(const CheckOptions& options) {
  std::optional<ModelFile> model;
  if (!options.model.empty()) {
    RunOptions run;
    run.model = options.model;
    run.lora = options.lora;
    model.emplace(open_run_model(run));
  }
  ThreadPool pool(options.threads.value_or(usable_thread_count()));
  RunLog log(stderr, LogFormat::kText, false);
  if (model) {
    for (const Note& note : adapter_notes(*model, options.lora)) log.note(note);
  }
  Timer timer;
  const CheckHooks hooks{[&](const RequestFailure& problem) {
                           log.clear();
                           print_line(fmt::format("{} [{}]", problem.message, problem.code));
                         },
                         [&](const CheckCounts& counts) {
                           log.reading({counts.n_lines, counts.n_prompt_tokens}, timer.seconds());
                         }};
  const CheckCounts counts =
      check_inputs(options.inputs, model ? &*model : nullptr, options.lora, pool, hooks);
  log.clear();
  if (std::fflush(stdout) != 0) throw Error("standard output: write failed");
  fmt::print(stderr, "{}", summary(counts, options, timer.seconds()));
  return counts.n_bad_lines > 0 ? 1 : 0;
}

}  // namespace prefold
