#include "io/toml_file.h"

#include <fmt/format.h>

#include <algorithm>

#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include "base/error.h"

namespace prefold {
namespace {

int64_t line_of(const toml::node& node) { return static_cast<int64_t>(node.source().begin.line); }

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  TomlSetting setting(const std::string& key, const toml::node& node) const {
    TomlSetting setting{key, line_of(node), node.is_array(), {}};
    if (node.is_table()) {
      fail(node, "tables are not used here; all keys stand at the top, without dots");
    }
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& element : *array) setting.values.push_back(value(key, element));
    } else {
      setting.values.push_back(value(key, node));
    }
    return setting;
  }

 private:
  TomlValue value(const std::string& key, const toml::node& node) const {
    if (const auto* text = node.as_string()) return {TomlType::kString, text->get()};
    if (const auto* flag = node.as_boolean()) {
      return {TomlType::kBool, flag->get() ? "true" : "false"};
    }
    if (const auto* number = node.as_integer()) {
      return {TomlType::kNumber, fmt::format("{}", number->get())};
    }
    if (const auto* number = node.as_floating_point()) {
      return {TomlType::kNumber, fmt::format("{}", number->get())};
    }
    fail(node,
         fmt::format("\"{}\": expected a string, a number, true, false or an array of these", key));
  }

  [[noreturn]] void fail(const toml::node& node, const std::string& what) const {
    throw FormatError(fmt::format("{}:{}: {}", name_, line_of(node), what));
  }

  const std::string& name_;
};

}  // namespace

std::vector<TomlSetting> parse_toml(std::string_view text, const std::string& name) {
  const Reader reader(name);
  std::vector<TomlSetting> settings;
  try {
    const toml::table table = toml::parse(text, name);
    for (const auto& [key, node] : table) {
      settings.push_back(reader.setting(std::string(std::string_view(key)), node));
    }
  } catch (const toml::parse_error& error) {
    throw FormatError(
        fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  std::stable_sort(settings.begin(), settings.end(),
                   [](const TomlSetting& a, const TomlSetting& b) { return a.line < b.line; });
  return settings;
}

}  // namespace prefold
