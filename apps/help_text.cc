// --help: usage, options in two columns, examples.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "program_doc.h"

namespace prefold {
namespace {

constexpr size_t kNameColumn = 2;
constexpr size_t kHelpColumn = 28;
constexpr int kMinColumns = 50;

// Words of `text`, broken into lines that end before n_columns; the lines after the first one begin
// at `indent`, and `column` is where the first one goes on. Paragraphs are kept.
std::string wrap(const std::string& text, size_t column, size_t indent, size_t n_columns) {
  std::string out;
  bool at_start = true;  // of a line: no space before the word
  for (size_t begin = 0; begin < text.size();) {
    if (text[begin] == '\n') {
      out += '\n' + std::string(indent, ' ');
      column = indent;
      at_start = true;
      ++begin;
      continue;
    }
    const size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!at_start && column + 1 + word.size() > n_columns) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
      at_start = true;
    }
    if (!at_start) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    at_start = false;
    begin = end < text.size() && text[end] == ' ' ? end + 1 : end;
  }
  return out;
}

// Names on the left, text on the right, or below where the names are long.
std::string two_columns(const std::string& names, const std::string& text, size_t n_columns) {
  std::string out = std::string(kNameColumn, ' ') + names;
  if (text.empty()) return out + '\n';
  if (out.size() + 2 > kHelpColumn) {
    out += '\n' + std::string(kHelpColumn, ' ');
  } else {
    out.resize(kHelpColumn, ' ');
  }
  return out + wrap(text, kHelpColumn, kHelpColumn, n_columns) + '\n';
}

std::string render_option(const OptionDoc& option, size_t n_columns) {
  std::string names =
      option.positional ? option.value : fmt::format("{}", fmt::join(option.names, ", "));
  // Long names stand under one another, whether or not there is a short one.
  if (!option.positional && option.names.size() == 1) names = "    " + names;
  if (!option.positional && !option.value.empty()) names += ' ' + option.value;
  return two_columns(names, option.help, n_columns);
}

}  // namespace

std::string help_text(const CLI::App& app, int columns) {
  const auto n_columns = static_cast<size_t>(std::max(columns, kMinColumns));
  const CommandDoc doc = describe_command(app);
  std::string out = wrap(doc.summary, 0, 0, n_columns) + '\n';
  if (!doc.description.empty()) out += '\n' + wrap(doc.description, 0, 0, n_columns) + '\n';
  out += "\nUsage: " + wrap(doc.usage, 7, 7, n_columns) + '\n';
  const ProgramDoc program = describe_program(app);
  if (!program.commands.empty()) out += "\nCommands:\n";
  for (const CommandDoc& command : program.commands) {
    out += two_columns(command.name, command.summary, n_columns);
  }
  for (const OptionGroupDoc& group : doc.groups) {
    out += '\n' + group.title + ":\n";
    for (const OptionDoc& option : group.options) out += render_option(option, n_columns);
  }
  if (!doc.examples.empty()) out += '\n' + doc.examples + '\n';
  return out;
}

}  // namespace prefold
