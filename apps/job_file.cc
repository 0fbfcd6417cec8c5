#include "job_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "io/json_line.h"
#include "io/toml_file.h"
#include "program_doc.h"

namespace prefold {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

std::string read_job_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.eof()) {
    throw Error(file ? fmt::format("--config {}: more than {} bytes", path, kMaxBytes)
                     : fmt::format("--config {}: cannot be read", path));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

CLI::Option* find_option(CLI::App& app, const std::string& key) {
  CLI::Option* option = app.get_option_no_throw("--" + key);
  const bool is_own = option == app.get_help_ptr() || key == "config";
  return is_own ? nullptr : option;
}

bool is_path(ValueKind kind) {
  return kind == ValueKind::kFile || kind == ValueKind::kFolder || kind == ValueKind::kModel;
}

// A relative path counts from the job file's folder.
std::string in_folder(ValueKind kind, const std::string& text,
                      const std::filesystem::path& folder) {
  if (kind == ValueKind::kNamedPath) {
    const size_t path = std::min(text.find('=') + 1, text.size());  // 0 without a name
    const bool is_named = path > 0 && path < text.size();
    return is_named ? text.substr(0, path) + (folder / text.substr(path)).string() : text;
  }
  const bool is_relative = is_path(kind) && text != "-" && !text.empty();
  return is_relative ? (folder / text).string() : text;
}

// The words that would stand behind the option on a command line; throws Error without the place.
std::vector<std::string> option_values(const CLI::Option& option, const TomlSetting& setting,
                                       const std::filesystem::path& folder) {
  const OptionDoc doc = describe_option(option);
  if (setting.is_array && !doc.repeatable) {
    throw Error(fmt::format("\"{}\" is an array; expected one value", setting.key));
  }
  std::vector<std::string> values;
  for (const TomlValue& value : setting.values) {
    const bool is_flag = doc.kind == ValueKind::kNone;
    if (is_flag != (value.type == TomlType::kBool)) {
      const std::string shown =
          value.type == TomlType::kString ? show_text(value.text) : value.text;
      throw Error(fmt::format("\"{}\" is {}; expected {}", setting.key, shown,
                              is_flag ? "true or false" : doc.value + " in quotes"));
    }
    if (is_flag && value.text == "false") continue;
    values.push_back(in_folder(doc.kind, value.text, folder));
  }
  return values;
}

void apply_setting(CLI::App& app, const TomlSetting& setting, const std::filesystem::path& folder) {
  CLI::Option* option = find_option(app, setting.key);
  CLI::App& run = *app.get_parent()->get_subcommand("run");
  if (!option && !find_option(run, setting.key)) {
    throw Error(fmt::format("\"{}\" is no option of prefold run", setting.key));
  }
  if (!option || option->count() > 0) return;
  const std::vector<std::string> values = option_values(*option, setting, folder);
  if (values.empty()) return;
  try {
    option->add_result(values);
    option->run_callback();
  } catch (const CLI::ParseError& error) {
    throw Error(error.what());
  }
}

void apply_job_file(CLI::App& app, const std::string& path) {
  for (const TomlSetting& setting : parse_toml(read_job_file(path), path)) {
    try {
      apply_setting(app, setting, std::filesystem::path(path).parent_path());
    } catch (const Error& error) {
      throw Error(fmt::format("{}:{}: {}", path, setting.line, error.what()));
    }
  }
}

}  // namespace

void add_job_file(CLI::App& app) {
  app.add_option_function<std::string>(
         "--config", [&app](const std::string& path) { apply_job_file(app, path); },
         "Options of prefold run from a TOML file: model = \"m.gguf\", input = [\"a.jsonl\"], "
         "ordered = true; what is typed here counts instead; paths are relative to the file")
      ->type_name("FILE");
}

}  // namespace prefold
