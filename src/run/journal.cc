#include "run/journal.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "io/durable_file.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "prefold-journal/1";
constexpr const char* kWhat = "a journal that prefold run wrote";

// The member of an object, of the wanted type.
template <typename T>
T member(const Json& object, const char* name, const std::string& path) {
  const auto found = object.find(name);
  if (found == object.end()) {
    throw FormatError(fmt::format("{}: \"{}\" is missing; expected {}", path, name, kWhat));
  }
  try {
    return found->get<T>();
  } catch (const Json::exception&) {
    throw FormatError(
        fmt::format("{}: \"{}\" is {}; expected {}", path, name, found->dump(), kWhat));
  }
}

Json input_json(const JournalInput& input, bool is_read) {
  Json json = {{"path", input.path}, {"bytes", nullptr}, {"digest", nullptr}};
  if (is_read) {
    json["bytes"] = input.digest.n_bytes;
    json["digest"] = input.digest.digest;
  }
  return json;
}

Journal parse_journal(const Json& json, const std::string& path) {
  if (!json.is_object() || json.value("schema", Json()) != kSchema) {
    throw FormatError(fmt::format("{}: \"schema\" is {}; expected \"{}\"", path,
                                  json.is_object() ? json.value("schema", Json()).dump() : "none",
                                  kSchema));
  }
  Journal journal;
  journal.created_unix_s = member<int64_t>(json, "created", path);
  journal.model_digest = member<std::string>(json, "model", path);
  journal.answers = member<Json>(json, "answers", path);
  journal.ordered = member<bool>(json, "ordered", path);
  journal.max_model_len = member<int32_t>(json, "max_model_len", path);
  journal.kv_blocks = member<int32_t>(json, "kv_blocks", path);
  if (!member<Json>(json, "lines", path).is_null()) {
    journal.n_lines = member<int64_t>(json, "lines", path);
  }
  for (const Json& entry : member<std::vector<Json>>(json, "inputs", path)) {
    JournalInput input{member<std::string>(entry, "path", path), {}};
    if (journal.n_lines) {
      input.digest = {member<int64_t>(entry, "bytes", path),
                      member<std::string>(entry, "digest", path)};
    }
    journal.inputs.push_back(std::move(input));
  }
  if (!journal.answers.is_object() || journal.max_model_len < 1 || journal.kv_blocks < 1) {
    throw FormatError(fmt::format("{}: is damaged; expected {}", path, kWhat));
  }
  return journal;
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string paths_of(const Journal& journal) {
  Json paths = Json::array();
  for (const JournalInput& input : journal.inputs) paths.push_back(input.path);
  return text_of(paths);
}

// Of a job of many thousand files it may be large, but not larger than this.
std::string read_whole(const std::string& path) {
  constexpr std::uintmax_t kMaxBytes = std::uintmax_t{256} << 20;
  std::error_code error;
  const std::uintmax_t n_bytes = std::filesystem::file_size(path, error);
  if (error) throw Error(fmt::format("cannot read {}: {}", path, error.message()));
  if (n_bytes > kMaxBytes) {
    throw FormatError(fmt::format("{}: has {} bytes; expected {}", path, n_bytes, kWhat));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(n_bytes, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(n_bytes))) {
    throw Error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  return text;
}

}  // namespace

std::string journal_path(const std::string& output) { return output + ".journal"; }
std::string waiting_path(const std::string& output) { return output + ".waiting"; }

std::optional<Journal> read_journal(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return std::nullopt;
  return parse_journal(Json::parse(read_whole(path), nullptr, false), path);
}

void write_journal(const std::string& path, const Journal& journal) {
  Json inputs = Json::array();
  for (const JournalInput& input : journal.inputs) {
    inputs.push_back(input_json(input, journal.n_lines.has_value()));
  }
  Json json = {{"schema", kSchema},
               {"created", journal.created_unix_s},
               {"prefold", PREFOLD_VERSION},
               {"inputs", std::move(inputs)},
               {"lines", nullptr},
               {"model", journal.model_digest},
               {"answers", journal.answers},
               {"max_model_len", journal.max_model_len},
               {"kv_blocks", journal.kv_blocks},
               {"ordered", journal.ordered}};
  if (journal.n_lines) json["lines"] = *journal.n_lines;
  replace_file(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::vector<std::string> differences(const Journal& begun, const Journal& now) {
  std::vector<std::string> found;
  const auto compare = [&](const std::string& what, const std::string& was, const std::string& is) {
    if (was != is) found.push_back(fmt::format("{} was {}, is {}", what, was, is));
  };
  compare("input", paths_of(begun), paths_of(now));
  compare("the model's digest", begun.model_digest, now.model_digest);
  // A key that one of the two lacks is one of another version.
  for (const auto& [name, value] : begun.answers.items()) {
    compare(name, value.dump(), now.answers.value(name, Json("unknown")).dump());
  }
  for (const auto& [name, value] : now.answers.items()) {
    if (!begun.answers.contains(name)) compare(name, "unknown", value.dump());
  }
  compare("ordered", begun.ordered ? "true" : "false", now.ordered ? "true" : "false");
  return found;
}

}  // namespace prefold
