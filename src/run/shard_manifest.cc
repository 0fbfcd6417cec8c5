#include "run/shard_manifest.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "io/durable_file.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kWhat = "a manifest that prefold plan --shards wrote";
constexpr std::uintmax_t kMaxBytes = std::uintmax_t{64} << 20;
constexpr const char* kOrderWhat = "the shard of each line that the manifest counts";
constexpr size_t kOrderBytes = 4;  // of a line

std::string shard_name(int32_t shard) { return fmt::format("shard-{:04d}", shard); }

// Reads members of one object of the file.
class Members {
 public:
  Members(const Json& object, const std::string& path, std::string where)
      : object_(object), path_(path), where_(std::move(where)) {
    if (!object.is_object()) {
      throw FormatError(
          fmt::format("{}: \"{}\" is {}; expected an object", path_, where_, object.dump()));
    }
  }

  const Json& at(const char* name) const {
    const auto found = object_.find(name);
    if (found == object_.end()) fail(name, "missing");
    return *found;
  }
  int64_t count(const char* name) const {
    const Json& value = at(name);
    if (!value.is_number_integer() || value < 0) fail(name, value.dump());
    return value.get<int64_t>();
  }
  double seconds(const char* name) const {
    const Json& value = at(name);
    if (!value.is_number() || value.get<double>() < 0) fail(name, value.dump());
    return value.get<double>();
  }
  std::string text(const char* name) const {
    const Json& value = at(name);
    if (!value.is_string()) fail(name, value.dump());
    return value.get<std::string>();
  }
  FileDigest digest() const { return {count("bytes"), text("digest")}; }

 private:
  [[noreturn]] void fail(const char* name, const std::string& value) const {
    throw FormatError(
        fmt::format("{}: \"{}{}\" is {}; expected {}", path_, where_, name, value, kWhat));
  }

  const Json& object_;
  const std::string& path_;
  std::string where_;
};

Json shard_json(const ShardEntry& shard, int32_t index) {
  const std::string name = shard_name(index);
  return {{"file", name + ".jsonl"},
          {"results", name + ".results.jsonl"},
          {"report", name + ".report.json"},
          {"bytes", shard.digest.n_bytes},
          {"digest", shard.digest.digest},
          {"lines", shard.n_lines},
          {"bad_lines", shard.n_bad_lines},
          {"prompt_tokens", shard.n_prompt_tokens},
          {"prefill_tokens", shard.n_prefill_tokens},
          {"again_tokens", shard.n_again},
          {"output_tokens", shard.n_output_tokens},
          {"time_s", shard.time_s}};
}

ShardEntry parse_shard(const Members& shard) {
  ShardEntry entry;
  entry.n_lines = shard.count("lines");
  entry.n_bad_lines = shard.count("bad_lines");
  entry.digest = shard.digest();
  entry.n_prompt_tokens = shard.count("prompt_tokens");
  entry.n_prefill_tokens = shard.count("prefill_tokens");
  entry.n_again = shard.count("again_tokens");
  entry.n_output_tokens = shard.count("output_tokens");
  entry.time_s = shard.seconds("time_s");
  return entry;
}

const Json& array_of(const Members& members, const char* name, const std::string& path) {
  const Json& array = members.at(name);
  if (!array.is_array()) {
    throw FormatError(fmt::format("{}: \"{}\" is {}; expected an array", path, name, array.dump()));
  }
  return array;
}

std::string read_whole(const std::string& path, std::uintmax_t max_bytes, const char* what) {
  std::error_code error;
  const std::uintmax_t n_bytes = std::filesystem::file_size(path, error);
  if (error) throw Error(fmt::format("cannot read {}: {}", path, error.message()));
  if (n_bytes > max_bytes) {
    throw FormatError(fmt::format("{}: has {} bytes; expected {}", path, n_bytes, what));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(n_bytes, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(n_bytes))) {
    throw Error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  return text;
}

int64_t sum_of(const ShardManifest& manifest, int64_t ShardEntry::*field) {
  return std::accumulate(manifest.shards.begin(), manifest.shards.end(), int64_t{0},
                         [&](int64_t sum, const ShardEntry& shard) { return sum + shard.*field; });
}

}  // namespace

std::string manifest_path(const std::string& folder) { return folder + "/manifest.json"; }
std::string shard_order_path(const std::string& folder) { return folder + "/shards.order"; }
std::string shard_path(const std::string& folder, int32_t shard) {
  return folder + "/" + shard_name(shard) + ".jsonl";
}
std::string shard_results_path(const std::string& folder, int32_t shard) {
  return folder + "/" + shard_name(shard) + ".results.jsonl";
}
std::string shard_report_path(const std::string& folder, int32_t shard) {
  return folder + "/" + shard_name(shard) + ".report.json";
}

std::optional<ShardManifest> read_manifest(const std::string& folder) {
  const std::string path = manifest_path(folder);
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return std::nullopt;
  const Json json = Json::parse(read_whole(path, kMaxBytes, kWhat), nullptr, false);
  const Json schema = json.is_object() ? json.value("schema", Json()) : Json();
  if (schema != kShardsSchema) {
    throw FormatError(
        fmt::format("{}: \"schema\" is {}; expected \"{}\"", path, schema.dump(), kShardsSchema));
  }
  const Members members(json, path, "");
  ShardManifest manifest;
  manifest.model_digest = members.text("model");
  manifest.options = members.at("options");
  manifest.time_is_known = members.at("time_is_known") == true;
  manifest.bound_s = members.seconds("bound_s");
  const Json& inputs = array_of(members, "inputs", path);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Members input(inputs[i], path, fmt::format("inputs[{}].", i));
    manifest.inputs.push_back({input.text("path"), input.digest()});
  }
  const Json& shards = array_of(members, "shards", path);
  for (size_t i = 0; i < shards.size(); ++i) {
    manifest.shards.push_back(parse_shard(Members(shards[i], path, fmt::format("shards[{}].", i))));
  }
  return manifest;
}

void write_manifest(const std::string& folder, const ShardManifest& manifest) {
  Json inputs = Json::array();
  for (const ShardInput& input : manifest.inputs) {
    inputs.push_back(
        {{"path", input.path}, {"bytes", input.digest.n_bytes}, {"digest", input.digest.digest}});
  }
  Json shards = Json::array();
  double longest_s = 0;
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    shards.push_back(shard_json(manifest.shards[i], static_cast<int32_t>(i)));
    longest_s = std::max(longest_s, manifest.shards[i].time_s);
  }
  const Json json = {{"schema", kShardsSchema},
                     {"prefold", PREFOLD_VERSION},
                     {"inputs", std::move(inputs)},
                     {"model", manifest.model_digest},
                     {"options", manifest.options},
                     {"lines", sum_of(manifest, &ShardEntry::n_lines)},
                     {"prompt_tokens", sum_of(manifest, &ShardEntry::n_prompt_tokens)},
                     {"prefill_tokens", sum_of(manifest, &ShardEntry::n_prefill_tokens)},
                     {"again_tokens", sum_of(manifest, &ShardEntry::n_again)},
                     {"time_is_known", manifest.time_is_known},
                     {"longest_s", longest_s},
                     {"bound_s", manifest.bound_s},
                     {"shards", std::move(shards)}};
  replace_file(manifest_path(folder),
               json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void write_shard_order(const std::string& folder, const std::vector<int32_t>& shard_of_line) {
  std::string bytes;
  bytes.reserve(kOrderBytes * shard_of_line.size());
  for (const int32_t shard : shard_of_line) {
    for (size_t i = 0; i < kOrderBytes; ++i) bytes += static_cast<char>(shard >> (8 * i) & 0xff);
  }
  replace_file(shard_order_path(folder), bytes);
}

std::vector<int32_t> read_shard_order(const std::string& folder, const ShardManifest& manifest) {
  const std::string path = shard_order_path(folder);
  const auto n_lines = static_cast<size_t>(sum_of(manifest, &ShardEntry::n_lines));
  const std::string bytes = read_whole(path, kOrderBytes * n_lines, kOrderWhat);
  std::vector<int32_t> shard_of_line(n_lines);
  std::vector<int64_t> n_left;
  for (const ShardEntry& shard : manifest.shards) n_left.push_back(shard.n_lines);
  bool fits = bytes.size() == kOrderBytes * n_lines;
  for (size_t line = 0; fits && line < n_lines; ++line) {
    uint32_t shard = 0;
    for (size_t i = 0; i < kOrderBytes; ++i) {
      shard |= uint32_t{static_cast<unsigned char>(bytes[kOrderBytes * line + i])} << (8 * i);
    }
    fits = shard < n_left.size() && n_left[shard]-- > 0;
    shard_of_line[line] = static_cast<int32_t>(shard);
  }
  if (!fits) throw FormatError(fmt::format("{} is damaged; expected {}", path, kOrderWhat));
  return shard_of_line;
}

}  // namespace prefold
