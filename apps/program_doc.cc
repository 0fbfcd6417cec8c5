#include "program_doc.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace prefold {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

ValueKind kind_of(const std::string& value) {
  if (value.empty()) return ValueKind::kNone;
  if (value == "FILE") return ValueKind::kFile;
  if (value == "FOLDER") return ValueKind::kFolder;
  if (value == "MODEL") return ValueKind::kModel;
  if (value == "NAME=PATH") return ValueKind::kNamedPath;
  return value.find('|') != std::string::npos ? ValueKind::kWords : ValueKind::kText;
}

std::string usage_of(const CLI::App& app, const std::vector<OptionGroupDoc>& groups) {
  std::string usage = app.get_parent() ? app.get_parent()->get_name() + " " : "";
  usage += app.get_name();
  if (!app.get_parent()) return usage + " COMMAND [OPTIONS]";
  size_t n_optional = 0;
  for (const OptionGroupDoc& group : groups) {
    if (group.title == "Help") continue;
    for (const OptionDoc& option : group.options) {
      if (option.positional) {
        usage += option.required ? " " + option.value : " [" + option.value + "]";
      } else if (option.required) {
        usage += fmt::format(" {} {}", option.names.front(), option.value);
      } else {
        ++n_optional;
      }
    }
  }
  return n_optional > 0 ? usage + " [OPTIONS]" : usage;
}

}  // namespace

OptionDoc describe_option(const CLI::Option& option) {
  OptionDoc doc;
  doc.positional = option.get_positional();
  for (const std::string& name : option.get_snames()) doc.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) doc.names.push_back("--" + name);
  if (doc.positional) doc.names = {option.get_name(true)};
  doc.required = option.get_required();
  doc.repeatable = option.get_expected_max() > 1;
  const bool is_flag = option.get_expected_max() == 0;
  // CLI11 appends what checks say of themselves, behind a colon.
  if (!is_flag) doc.value = split(option.get_type_name(), ':').front();
  doc.kind = kind_of(doc.value);
  if (doc.kind == ValueKind::kWords) doc.words = split(doc.value, '|');
  doc.help = option.get_description();
  if (!option.get_default_str().empty()) doc.help += fmt::format(" [{}]", option.get_default_str());
  return doc;
}

CommandDoc describe_command(const CLI::App& app) {
  CommandDoc doc;
  doc.name = app.get_name();
  const std::string text = app.get_description();
  const size_t break_at = text.find("\n\n");
  doc.summary = text.substr(0, break_at);
  if (break_at != std::string::npos) doc.description = text.substr(break_at + 2);
  for (const std::string& title : app.get_groups()) {
    const auto in_group = [&](const CLI::Option* option) {
      return !title.empty() && option->get_group() == title;
    };
    OptionGroupDoc group{title, {}};
    for (const CLI::Option* option : app.get_options(in_group)) {
      group.options.push_back(describe_option(*option));
    }
    if (!group.options.empty()) doc.groups.push_back(std::move(group));
  }
  // --help, which is added first of all, is read last.
  std::stable_partition(doc.groups.begin(), doc.groups.end(),
                        [](const OptionGroupDoc& group) { return group.title != "Help"; });
  doc.usage = usage_of(app, doc.groups);
  doc.examples = app.get_footer();
  return doc;
}

ProgramDoc describe_program(const CLI::App& root) {
  ProgramDoc program{describe_command(root), {}};
  const auto is_shown = [](const CLI::App* app) { return !app->get_group().empty(); };
  for (const CLI::App* app : root.get_subcommands(is_shown)) {
    program.commands.push_back(describe_command(*app));
  }
  return program;
}

}  // namespace prefold
