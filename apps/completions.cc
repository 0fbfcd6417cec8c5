// Shell completions. Each shell's file has the same content in its own words: the commands, their
// options, and what may follow an option.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>

#include "program_doc.h"

namespace prefold {
namespace {

template <typename Fn>
void for_each_option(const CommandDoc& command, Fn&& visit) {
  for (const OptionGroupDoc& group : command.groups) {
    for (const OptionDoc& option : group.options) visit(option);
  }
}

// The help up to its default, which shells would show on the same line.
std::string short_help(const OptionDoc& option) {
  return option.help.substr(0, option.help.find(" ["));
}

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
  return text;
}

// In single quotes. Of a POSIX shell and zsh; fish knows \' inside them.
std::string quoted(const std::string& text) { return "'" + replace_all(text, "'", "'\\''") + "'"; }
std::string fish_quoted(const std::string& text) {
  return "'" + replace_all(replace_all(text, "\\", "\\\\"), "'", "\\'") + "'";
}

std::string bash_values(const OptionDoc& option) {
  switch (option.kind) {
    case ValueKind::kWords:
      return fmt::format("_prefold_words {}",
                         quoted(fmt::format("{}", fmt::join(option.words, " "))));
    case ValueKind::kFile:
      return "_prefold_files";
    case ValueKind::kFolder:
      return "_prefold_folders";
    case ValueKind::kModel:
      return "_prefold_models";
    case ValueKind::kNamedPath:
      return "if [[ $named ]]; then _prefold_files; fi";
    case ValueKind::kText:
    case ValueKind::kNone:
      return ":";
  }
  return ":";
}

// What may stand at the cursor within a command: an option's value, an option, or an argument.
std::string bash_case(const CommandDoc& command) {
  std::vector<std::string> names;
  std::string values;
  std::string argument = ":";
  for_each_option(command, [&](const OptionDoc& option) {
    if (option.positional) {
      argument = bash_values(option);
      return;
    }
    names.insert(names.end(), option.names.begin(), option.names.end());
    if (option.kind == ValueKind::kNone) return;
    values += fmt::format("        {}) {} ;;\n", fmt::join(option.names, "|"), bash_values(option));
  });
  const std::string otherwise =
      fmt::format("if [[ $cur == -* ]]; then _prefold_words {}; else {}; fi",
                  quoted(fmt::format("{}", fmt::join(names, " "))), argument);
  return fmt::format("    {})\n      case $prev in\n{}        *) {} ;;\n      esac\n      ;;\n",
                     command.name, values, otherwise);
}

std::string zsh_action(const OptionDoc& option) {
  switch (option.kind) {
    case ValueKind::kNone:
      return "";
    case ValueKind::kText:
      return fmt::format(":{}: ", option.value);
    case ValueKind::kNamedPath:
      return ":name=path:{compset -P \"*=\" && _files}";
    case ValueKind::kWords:
      return fmt::format(":{}:({})", option.long_name(), fmt::join(option.words, " "));
    case ValueKind::kFile:
      return ":file:_files";
    case ValueKind::kFolder:
      return ":folder:_files -/";
    case ValueKind::kModel:
      return ":model:_files -g \"*.gguf(-.)\"";
  }
  return "";
}

// One argument of zsh's _arguments.
std::string zsh_spec(const OptionDoc& option) {
  if (option.positional) return quoted((option.repeatable ? "*" : "1") + zsh_action(option));
  std::string help = short_help(option);
  for (const char* special : {"\\", "[", "]", ":"}) {
    help = replace_all(help, special, std::string("\\") + special);
  }
  const std::string rest = "[" + help + "]" + zsh_action(option);
  const std::string exclusive =
      option.repeatable ? "*" : fmt::format("({})", fmt::join(option.names, " "));
  std::vector<std::string> specs;
  for (const std::string& name : option.names) {
    // A value may be glued to a long name by "=".
    const bool glued = option.kind != ValueKind::kNone && name.starts_with("--");
    specs.push_back(quoted(exclusive + name + (glued ? "=" : "") + rest));
  }
  return fmt::format("{}", fmt::join(specs, " \\\n            "));
}

std::string zsh_specs(const CommandDoc& command) {
  std::string out;
  for_each_option(command,
                  [&](const OptionDoc& option) { out += " \\\n            " + zsh_spec(option); });
  return out;
}

std::string fish_values(const OptionDoc& option) {
  switch (option.kind) {
    case ValueKind::kNone:
      return "";
    case ValueKind::kText:
      return " -x";
    case ValueKind::kWords:
      return fmt::format(" -x -a {}", fish_quoted(fmt::format("{}", fmt::join(option.words, " "))));
    case ValueKind::kFile:
    case ValueKind::kNamedPath:
      return " -r -F";
    case ValueKind::kFolder:
      return " -x -a '(__fish_complete_directories)'";
    case ValueKind::kModel:
      return " -x -a '(__fish_complete_suffix .gguf)'";
  }
  return "";
}

std::string fish_line(const std::string& condition, const OptionDoc& option) {
  std::string out = fmt::format("complete -c prefold -n '{}'", condition);
  for (const std::string& name : option.names) {
    if (option.positional) break;
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  out += fish_values(option);
  return out + " -d " + fish_quoted(short_help(option)) + "\n";
}

}  // namespace

std::string bash_completion(const ProgramDoc& program) {
  std::vector<std::string> words;
  for (const CommandDoc& command : program.commands) words.push_back(command.name);
  for_each_option(program.root, [&](const OptionDoc& option) {
    words.insert(words.end(), option.names.begin(), option.names.end());
  });
  std::string out = R"(# bash completion of prefold

_prefold_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }
_prefold_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}
_prefold_folders() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -d -- "$cur")
}
_prefold_models() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -f -X '!*.gguf' -- "$cur")
}

_prefold() {
  local cur=${COMP_WORDS[COMP_CWORD]} at=$((COMP_CWORD - 1)) prev named=
  COMPREPLY=()
  # "--option=value" and "--option name=value" arrive with "=" as a word of its own.
  if [[ $cur == = ]]; then
    cur=
  elif [[ ${COMP_WORDS[at]} == = ]]; then
    at=$((at - 1))
  fi
  if ((at < COMP_CWORD - 1)) || [[ ${COMP_WORDS[COMP_CWORD]} == = ]]; then
    if [[ ${COMP_WORDS[at]} != -* ]]; then
      named=1 at=$((at - 1))
    fi
  fi
  prev=${COMP_WORDS[at]}
  if ((COMP_CWORD == 1)); then
)";
  out += fmt::format("    _prefold_words {}\n    return\n  fi\n",
                     quoted(fmt::format("{}", fmt::join(words, " "))));
  out += "  case ${COMP_WORDS[1]} in\n";
  for (const CommandDoc& command : program.commands) out += bash_case(command);
  return out + "  esac\n}\n\ncomplete -F _prefold prefold\n";
}

std::string zsh_completion(const ProgramDoc& program) {
  std::string out = R"(#compdef prefold

_prefold() {
  local curcontext=$curcontext state line
  local -a commands
  commands=(
)";
  for (const CommandDoc& command : program.commands) {
    out += fmt::format("    {}\n",
                       quoted(command.name + ":" + replace_all(command.summary, ":", "\\:")));
  }
  out += "  )\n  _arguments -C" + zsh_specs(program.root);
  out += " \\\n            '1:command:->command' '*::argument:->argument'\n";
  out += "  case $state in\n    command) _describe command commands ;;\n    argument)\n";
  out += "      case $words[1] in\n";
  for (const CommandDoc& command : program.commands) {
    out += fmt::format("        {})\n          _arguments{}\n          ;;\n", command.name,
                       zsh_specs(command));
  }
  out += "      esac\n      ;;\n  esac\n}\n\n";
  // Sourced by hand, or found in $fpath and called for the first time.
  out +=
      "if [[ $funcstack[1] == _prefold ]]; then _prefold \"$@\"; else compdef _prefold prefold; "
      "fi\n";
  return out;
}

std::string fish_completion(const ProgramDoc& program) {
  std::string out = "# fish completion of prefold\n\ncomplete -c prefold -f\n";
  for (const CommandDoc& command : program.commands) {
    out += fmt::format("complete -c prefold -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       fish_quoted(command.summary));
  }
  for_each_option(program.root, [&](const OptionDoc& option) {
    out += fish_line("__fish_use_subcommand", option);
  });
  for (const CommandDoc& command : program.commands) {
    const std::string condition = "__fish_seen_subcommand_from " + command.name;
    for_each_option(command, [&](const OptionDoc& option) { out += fish_line(condition, option); });
  }
  return out;
}

}  // namespace prefold
