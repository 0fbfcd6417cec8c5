// The man page: what options say comes from their tables, the rest stands here.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "program_doc.h"

namespace prefold {
namespace {

// Text as groff shows it: hyphens that are typed are minus signs, and nothing is a request.
std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '^') {
      out += "\\(ha";
    } else if (c == '~') {
      out += "\\(ti";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '`') {
      out += "\\(ga";
    } else {
      if (c == '.' && (out.empty() || out.back() == '\n')) out += "\\&";
      out += c;
    }
  }
  return out;
}

std::string bold(std::string_view text) { return "\\fB" + escape(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + escape(text) + "\\fR"; }

// Paragraphs of lines. Indented lines are shown as they are.
std::string paragraphs(const std::string& text) {
  std::string out;
  bool literal = false;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const bool indented = line.starts_with("  ");
    if (indented != literal) {
      out += indented ? ".PP\n.RS 4\n.nf\n" : ".fi\n.RE\n";
      literal = indented;
    }
    if (line.empty()) {
      out += literal ? "\n" : ".PP\n";
    } else {
      out += escape(indented ? line.substr(2) : line) + '\n';
    }
  }
  if (literal) out += ".fi\n.RE\n";
  return out;
}

// A choice of words is set as words, a placeholder in italics.
std::string value_text(const OptionDoc& option) {
  if (option.kind != ValueKind::kWords) return italic(option.value);
  std::vector<std::string> words;
  for (const std::string& word : option.words) words.push_back(bold(word));
  return fmt::format("{}", fmt::join(words, "|"));
}

std::string render_option(const OptionDoc& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.names) names.push_back(bold(name));
  std::string heading = fmt::format("{}", fmt::join(names, ", "));
  if (option.positional) {
    heading = italic(option.value);
  } else if (!option.value.empty()) {
    heading += ' ' + value_text(option);
  }
  return ".TP\n" + heading + '\n' + escape(option.help) + '\n';
}

// Groups that another command has in the very same form are not said twice.
std::string render_command(const CommandDoc& command,
                           std::map<std::string, std::pair<std::string, OptionGroupDoc>>& said) {
  std::string out = ".SS " + escape(command.usage) + '\n' + paragraphs(command.summary + ".\n");
  if (!command.description.empty()) out += ".PP\n" + paragraphs(command.description);
  for (const OptionGroupDoc& group : command.groups) {
    if (group.title == "Help") continue;
    const auto [found, is_new] = said.try_emplace(group.title, command.name, group);
    if (!is_new && found->second.second == group) {
      out += fmt::format(".PP\n{}: as of {}.\n", italic(group.title),
                         bold("prefold " + found->second.first));
      continue;
    }
    if (group.title != "Options") out += ".PP\n" + italic(group.title + ":") + '\n';
    for (const OptionDoc& option : group.options) out += render_option(option);
  }
  if (!command.examples.empty()) out += ".PP\n" + paragraphs(command.examples);
  return out;
}

constexpr std::string_view kJobFiles = R"(.SH JOB FILES
.B prefold run \-\-config
.I FILE
reads its options from a file in TOML: a key is the long name of an option without its dashes; an
option that may be repeated takes an array, one without a value takes true or false.
What stands on the command line is taken instead of what the file says.
Paths are relative to the folder of the file; "\-" is standard input or output.
Other commands read the same file and take what they have an option for.
What no option of
.B prefold run
is, and a wrong value, is an error that names file, line and key.
.PP
.RS 4
.nf
# /etc/prefold/nightly.toml
model = "/srv/models/model.gguf"
input = ["/srv/jobs/questions.jsonl", "/srv/jobs/more.jsonl.gz"]
output = "/srv/jobs/answers.jsonl"
max\-tokens = 256
temperature = 0.7
quiet = true
.fi
.RE
.PP
Tables and dates of TOML are not used.
)";

constexpr std::string_view kExitStatus = R"(.SH EXIT STATUS
.TP
.B 0
All prompts are answered.
.TP
.B 1
Some requests failed; their lines of the results have an "error". Of other commands: some lines are
wrong, or a comparison found a difference.
.TP
.B 2
The command could not start or finish: the message on standard error says why.
.TP
.B 3
A run was stopped by a signal or a limit, with requests left; the same command with
.B \-\-resume
goes on.
)";

constexpr std::string_view kFiles = R"(.SH FILES
.TP
.IR OUTPUT .journal
What job an output belongs to; \fB\-\-resume\fR reads it.
.TP
.IR OUTPUT .waiting
With \fB\-\-ordered\fR, the results that wait for earlier ones; deleted in the end.
.TP
.IR OUTPUT .lock
Who is writing the output, on file systems without flock(2).
.TP
.I /usr/share/doc/prefold
The formats of input, output and report; examples for cron and systemd.
.TP
.I \(ti/.cache/prefold
What steps cost on this machine, measured in the first run with a model. It may be deleted at any time.
)";

constexpr std::string_view kEnvironment = R"(.SH ENVIRONMENT
.TP
.B PREFOLD_CACHE
The folder for measured costs, instead of
.IR $XDG_CACHE_HOME/prefold
or
.IR \(ti/.cache/prefold .
.TP
.B CUDA_VISIBLE_DEVICES
Which NVIDIA GPUs a run sees, as in every CUDA program; empty: none.
)";

}  // namespace

std::string man_page(const ProgramDoc& program) {
  std::string out =
      fmt::format(".TH PREFOLD 1 \"\" \"prefold {}\" \"User Commands\"\n", PREFOLD_VERSION);
  out +=
      ".SH NAME\nprefold \\- answer a file of prompts with a local language model\n.SH SYNOPSIS\n";
  for (const CommandDoc& command : program.commands) {
    out += (&command == &program.commands.front() ? "" : ".br\n") + escape(command.usage) + '\n';
  }
  out += ".SH DESCRIPTION\n" + paragraphs(program.root.summary + "\n\n" + program.root.description);
  out += ".SH OPTIONS\n";
  for (const OptionGroupDoc& group : program.root.groups) {
    for (const OptionDoc& option : group.options) out += render_option(option);
  }
  out += ".SH COMMANDS\n";
  std::map<std::string, std::pair<std::string, OptionGroupDoc>> said;
  for (const CommandDoc& command : program.commands) out += render_command(command, said);
  out += kJobFiles;
  out += kExitStatus;
  out += kFiles;
  out += kEnvironment;
  return out;
}

}  // namespace prefold
