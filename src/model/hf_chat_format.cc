#include "model/hf_chat_format.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"

namespace prefold {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{4} << 20;
constexpr size_t kMaxTemplates = 100;
constexpr std::array<const char*, 7> kSpecialTokens = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

// None if there is no such file.
std::optional<std::string> read_file(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  if (!fs::is_regular_file(path, error)) {
    throw Error(fmt::format("{}: is not a file", path.string()));
  }
  const std::uintmax_t n_bytes = fs::file_size(path, error);
  if (!error && n_bytes > kMaxFileBytes) {
    throw FormatError(
        fmt::format("{}: {} bytes; wanted at most {}", path.string(), n_bytes, kMaxFileBytes));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (error || in.bad() || !in.is_open()) {
    throw Error(fmt::format("{}: cannot be read", path.string()));
  }
  return text;
}

// Null if there is no such file.
Json read_json(const fs::path& path) {
  const std::optional<std::string> text = read_file(path);
  if (!text) return nullptr;
  Json json = Json::parse(*text, nullptr, false);
  if (json.is_discarded()) throw FormatError(fmt::format("{}: is not JSON", path.string()));
  if (!json.is_object()) {
    throw FormatError(fmt::format("{}: is {}; wanted an object", path.string(), json.type_name()));
  }
  return json;
}

// Of an object; null if it is absent, or if there is no object.
const Json& member(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

[[noreturn]] void throw_wanted(const fs::path& path, const std::string& key, const Json& value,
                               const char* wanted) {
  throw FormatError(
      fmt::format("{}: \"{}\" is {}; wanted {}", path.string(), key, value.type_name(), wanted));
}

void add_template(const fs::path& path, std::string name, const Json& source,
                  std::vector<NamedTemplate>& out) {
  if (!source.is_string()) {
    throw FormatError(fmt::format("{}: the chat template {} is {}; wanted a string", path.string(),
                                  quoted_name(name), source.type_name()));
  }
  for (const NamedTemplate& other : out) {
    if (other.name == name) {
      throw FormatError(
          fmt::format("{}: there are two chat templates {}", path.string(), quoted_name(name)));
    }
  }
  if (out.size() == kMaxTemplates) {
    throw FormatError(fmt::format("{}: more than {} chat templates", path.string(), kMaxTemplates));
  }
  out.push_back({std::move(name), source.get<std::string>()});
}

// "chat_template" of a JSON file.
std::vector<NamedTemplate> read_member(const fs::path& path, const Json& object) {
  std::vector<NamedTemplate> out;
  const Json& value = member(object, "chat_template");
  if (value.is_null()) return out;
  if (value.is_string()) {
    out.push_back({"default", value.get<std::string>()});
  } else if (value.is_object()) {
    for (const auto& [name, source] : value.items()) add_template(path, name, source, out);
  } else if (value.is_array()) {
    for (const Json& entry : value) {
      const Json& name = member(entry, "name");
      if (!name.is_string()) {
        throw_wanted(path, "name\" of a \"chat_template", name, "a string");
      }
      add_template(path, name.get<std::string>(), member(entry, "template"), out);
    }
  } else {
    throw_wanted(path, "chat_template", value, "a string or an array of {\"name\", \"template\"}");
  }
  return out;
}

// Templates that are files of their own.
std::vector<NamedTemplate> read_template_files(const fs::path& directory) {
  std::vector<NamedTemplate> out;
  if (std::optional<std::string> source = read_file(directory / "chat_template.jinja")) {
    out.push_back({"default", std::move(*source)});
  }
  const fs::path folder = directory / "additional_chat_templates";
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".jinja") paths.push_back(it->path());
  }
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    const std::optional<std::string> source = read_file(path);
    // A link that leads nowhere counts as no file.
    if (source) add_template(path, path.stem().string(), *source, out);
  }
  return out;
}

std::vector<SpecialTokenName> read_special_tokens(const fs::path& directory, const Json& config) {
  const fs::path config_path = directory / "tokenizer_config.json";
  const fs::path map_path = directory / "special_tokens_map.json";
  const bool has_map = member(config, "added_tokens_decoder").is_null();
  const Json map = has_map ? read_json(map_path) : Json();
  std::vector<SpecialTokenName> out;
  for (const char* name : kSpecialTokens) {
    const bool in_map = map.contains(name);
    const Json& value = member(in_map ? map : config, name);
    const Json& content = value.is_object() ? member(value, "content") : value;
    if (value.is_null()) continue;
    if (!content.is_string()) {
      throw_wanted(in_map ? map_path : config_path, name, value,
                   "a string, or an object with a string \"content\"");
    }
    out.push_back({name, content.get<std::string>()});
  }
  return out;
}

}  // namespace

ChatFormat read_hf_chat_format(const std::string& directory, const Json& tokenizer_config) {
  const fs::path config_path = fs::path(directory) / "tokenizer_config.json";
  if (!tokenizer_config.is_null() && !tokenizer_config.is_object()) {
    throw FormatError(fmt::format("{}: is {}; wanted an object", config_path.string(),
                                  tokenizer_config.type_name()));
  }
  ChatFormat format;
  format.templates = read_template_files(directory);
  if (format.templates.empty()) format.templates = read_member(config_path, tokenizer_config);
  if (format.templates.empty()) {
    const fs::path path = fs::path(directory) / "chat_template.json";
    format.templates = read_member(path, read_json(path));
  }
  format.special_tokens = read_special_tokens(directory, tokenizer_config);
  return format;
}

}  // namespace prefold
