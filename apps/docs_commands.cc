// The commands that print about the program itself: completions, man.
#include <fmt/format.h>

#include "add_choice.h"
#include "args_options.h"
#include "program_doc.h"

namespace prefold {

void add_completions_options(CLI::App& app, CompletionsOptions& completions) {
  app.footer(R"(Examples:
  source <(prefold completions bash)
  prefold completions bash > ~/.local/share/bash-completion/completions/prefold
  prefold completions zsh > ~/.zfunc/_prefold      # with ~/.zfunc in $fpath
  prefold completions fish > ~/.config/fish/completions/prefold.fish)");
  add_choice<Shell>(app, "shell", completions.shell,
                    {{"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}},
                    "Which shell")
      ->required()
      ->default_str("");
}

void add_man_options(CLI::App& app, ManOptions&) {
  app.footer("Examples:\n  prefold man | man -l -");
}

int completions_command(const CompletionsOptions& options) {
  const ProgramDoc program = describe_program();
  switch (options.shell) {
    case Shell::kBash:
      fmt::print("{}", bash_completion(program));
      break;
    case Shell::kZsh:
      fmt::print("{}", zsh_completion(program));
      break;
    case Shell::kFish:
      fmt::print("{}", fish_completion(program));
      break;
  }
  return 0;
}

int man_command(const ManOptions&) {
  fmt::print("{}", man_page(describe_program()));
  return 0;
}

}  // namespace prefold
