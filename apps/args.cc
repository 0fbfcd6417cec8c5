#include "args.h"

#include <fmt/format.h>

#include <memory>

#include "args_options.h"
#include "kernels/cpu/kernels.h"

namespace prefold {
namespace {

constexpr int kCannotRun = 2;

// A command: the options that it has, and what it does with them.
template <typename Options>
void add_command(CLI::App& root, Action& action, const std::string& name,
                 const std::string& summary, void (*add_options)(CLI::App&, Options&),
                 int (*command)(const Options&)) {
  CLI::App& app = *root.add_subcommand(name, summary);
  const auto options = std::make_shared<Options>();
  add_options(app, *options);
  app.callback(
      [options, command, &action] { action = [options, command] { return command(*options); }; });
}

// In the order of --help.
void add_commands(CLI::App& app, Action& action) {
  add_command(app, action, "run", "Answer all prompts", add_run_options, run_command);

  // Before a run.
  add_command(app, action, "plan",
              "Show what prompts share and what a run would compute; loads no weights",
              add_plan_command_options, plan_command);

  // After a run.

  // Models and measurements.
  add_command(app, action, "inspect",
              "Describe a model: architecture, sizes, quantisations, context, memory needed",
              add_inspect_options, inspect_command);
  add_command(
      app, action, "tokenize",
      "JSON lines {\"text\", \"add_special\"?, \"parse_special\"?} on standard input to {\"ids\"}",
      add_tokenize_options, tokenize_command);
  add_command(app, action, "render",
              "JSON lines {\"messages\", \"add_generation_prompt\"?, \"bos_token\"?, "
              "\"eos_token\"?, \"now\"?} "
              "on standard input to {\"text\"} or {\"error\"} by the model's chat template",
              add_render_options, render_command);
  add_command(app, action, "bench",
              "Run seeded workloads and compare with what this machine can do at most",
              add_bench_options, bench_command);
}

}  // namespace

Action parse_args(int argc, char** argv) {
  CLI::App app{
      "prefold answers a file of prompts with a local language model, computing what the "
      "prompts share only once.",
      "prefold"};
  app.require_subcommand(1);
  app.set_version_flag("--version", [] {
    return fmt::format("prefold {} ({})", PREFOLD_VERSION, find_cpu_kernels("auto").isa);
  });
  app.footer("prefold COMMAND --help tells more.");
  Action action;
  add_commands(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error) == 0 ? 0 : kCannotRun;
    return [status] { return status; };
  }
  return action;
}

}  // namespace prefold
