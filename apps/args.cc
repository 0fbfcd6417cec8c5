#include "args.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "args_options.h"
#include "program_doc.h"
#include "version.h"

namespace prefold {
namespace {

constexpr int kCannotRun = 2;
constexpr int kHelpColumns = 80;
constexpr int kMaxHelpColumns = 100;  // longer lines are hard to read

const char kFooter[] =
    R"(Examples:
  prefold run -m model.gguf -i prompts.jsonl -o results.jsonl
  prefold plan -m model.gguf -i prompts.jsonl
  prefold run --help

prefold COMMAND --help tells more about a command, man prefold about all of them.)";

// A command: the options that it has, and what it does with them.
template <typename Options>
void add_command(CLI::App& root, Action& action, const std::string& name,
                 const std::string& summary, void (*add_options)(CLI::App&, Options&),
                 int (*command)(const Options&)) {
  CLI::App& app = *root.add_subcommand(name, summary);
  app.set_help_flag("-h,--help", "Show this help")->group("Help");
  const auto options = std::make_shared<Options>();
  add_options(app, *options);
  app.callback(
      [options, command, &action] { action = [options, command] { return command(*options); }; });
}

// In the order of --help.
void add_commands(CLI::App& app, Action& action) {
  add_command(app, action, "run", "Answer all prompts", add_run_options, run_command);

  // Before a run.
  add_command(app, action, "check",
              "Find every problem of the input's lines, with or without a model", add_check_options,
              check_command);
  add_command(app, action, "plan", "Show what prompts share and what a run would compute",
              add_plan_command_options, plan_command);

  // After a run.
  add_command(app, action, "report", "Show a run's report as a page with pictures, or compare two",
              add_report_options, report_command);
  add_command(app, action, "merge", "Join the results of the shards of `prefold plan --shards`",
              add_merge_options, merge_command);

  // Models and measurements.
  add_command(app, action, "inspect",
              "Describe a model: architecture, sizes, quantisations, context, memory needed",
              add_inspect_options, inspect_command);
  add_command(app, action, "tokenize", "Turn texts into token ids, or the other way",
              add_tokenize_options, tokenize_command);
  add_command(app, action, "render", "Turn chat messages into text by a model's chat template",
              add_render_options, render_command);
  add_command(app, action, "bench",
              "Run seeded workloads and compare with what this machine can do at most",
              add_bench_options, bench_command);

  // The program itself.
  add_command(app, action, "completions", "Print completions for a shell", add_completions_options,
              completions_command);
  add_command(app, action, "man", "Print the manual page", add_man_options, man_command);
}

int help_columns() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kHelpColumns;
  return std::min<int>(size.ws_col, kMaxHelpColumns);
}

// One sentence about what was typed wrong. `app` is the command, or the program.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining();
  const auto option = std::find_if(unknown.begin(), unknown.end(),
                                   [](const std::string& word) { return word.starts_with("-"); });
  if (option != unknown.end()) return fmt::format("there is no option {}", *option);
  if (!unknown.empty() && !app.get_parent()) {
    return fmt::format("there is no command {}", unknown.front());
  }
  if (!unknown.empty()) return fmt::format("\"{}\" is one argument too many", unknown.front());
  if (dynamic_cast<const CLI::RequiredError*>(&error) && !app.get_parent()) {
    return "a command is needed, e.g. run";
  }
  const std::string what = error.what();  // CLI11's begin with the option's name
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
    const bool is_missing = what.find("received") == std::string::npos;
    return what.substr(0, what.find(':')) + (is_missing ? " needs a value" : " is given twice");
  }
  return what;
}

// Prints help, the version or what was typed wrong, and returns the exit status.
int stop(const CLI::App& root, const CLI::ParseError& error) {
  const std::vector<CLI::App*> typed = root.get_subcommands();
  const CLI::App& app = typed.empty() ? root : *typed.front();
  if (error.get_exit_code() == 0) {
    const bool is_help = dynamic_cast<const CLI::CallForHelp*>(&error) != nullptr;
    fmt::print("{}", is_help ? help_text(app, help_columns()) : std::string(error.what()) + '\n');
    return 0;
  }
  const std::string name = (app.get_parent() ? root.get_name() + ' ' : "") + app.get_name();
  fmt::print(stderr, "{}: error: {}\n{} --help lists what there is.\n", name, explain(app, error),
             name);
  return kCannotRun;
}

std::unique_ptr<CLI::App> make_app(Action& action) {
  auto app = std::make_unique<CLI::App>(
      "prefold answers a file of prompts with a local language model, computing what the prompts "
      "share only once. It works offline, without a server, on the CPU or an NVIDIA GPU.",
      "prefold");
  app->set_help_flag("-h,--help", "Show this help");
  app->set_version_flag("--version", version_text, "Show version, build and features");
  app->require_subcommand(1);
  app->footer(kFooter);
  add_commands(*app, action);
  return app;
}

}  // namespace

Action parse_args(int argc, char** argv) {
  Action action;
  const std::unique_ptr<CLI::App> app = make_app(action);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = stop(*app, error);
    return [status] { return status; };
  }
  return action;
}

ProgramDoc describe_program() {
  Action action;
  return describe_program(*make_app(action));
}

}  // namespace prefold
