// What the program takes, read from the tables of its options (args_options.h): --help, the man
// page and shell completions are written from this, so that none of them can fall behind.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace prefold {

// What an option takes, by its type_name.
enum class ValueKind { kNone, kText, kWords, kFile, kFolder, kModel, kNamedPath };

struct OptionDoc {
  std::vector<std::string> names;  // "-m", "--model"; of a positional the word for it: "model"
  bool positional = false;
  bool required = false;
  bool repeatable = false;
  ValueKind kind = ValueKind::kNone;
  std::string value;               // "FILE", "tree|none|lru"; empty: a flag
  std::vector<std::string> words;  // of kWords
  std::string help;                // with the default, in brackets, at its end

  const std::string& long_name() const { return names.back(); }
  bool operator==(const OptionDoc&) const = default;
};

struct OptionGroupDoc {
  std::string title;
  std::vector<OptionDoc> options;

  bool operator==(const OptionGroupDoc&) const = default;
};

struct CommandDoc {
  std::string name;
  std::string summary;      // one line
  std::string description;  // paragraphs; may be empty
  std::string usage;        // "prefold run -m MODEL -i FILE -o FILE [OPTIONS]"
  std::vector<OptionGroupDoc> groups;
  std::string examples;  // lines; indented ones are to be shown as they are
};

struct ProgramDoc {
  CommandDoc root;  // the options that stand before a command
  std::vector<CommandDoc> commands;
};

OptionDoc describe_option(const CLI::Option& option);
// Of one command, or of the program without its commands.
CommandDoc describe_command(const CLI::App& app);
ProgramDoc describe_program(const CLI::App& root);
ProgramDoc describe_program();  // all of prefold

// The text of --help, at most n_columns wide where words can be broken.
std::string help_text(const CLI::App& app, int n_columns);

// A page for man(1), in the macros of groff_man(7).
std::string man_page(const ProgramDoc& program);

// A file that bash, zsh or fish reads.
std::string bash_completion(const ProgramDoc& program);
std::string zsh_completion(const ProgramDoc& program);
std::string fish_completion(const ProgramDoc& program);

}  // namespace prefold
