#include "run/length_prior.h"

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "io/fingerprint.h"
#include "plan/prefix_groups.h"
#include "report/report.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxGroups = 256;
constexpr const char* kLengthsKey = "output_lengths";

// By the prefix and the adapter's name.
std::string group_key(const PrefixTree& tree, int32_t node_idx, const PromptStore& prompts,
                      std::span<const LoraOption> adapters) {
  const PrefixNode& node = tree.nodes[node_idx];
  const TokenSpan head = prompts[node.representative].first(node.depth_begin + 1);
  std::string bytes(reinterpret_cast<const char*>(head.data()), head.size() * sizeof(int32_t));
  if (const int32_t adapter = tree.adapter_of_node(node_idx); adapter != kNoAdapter) {
    bytes += adapters[adapter].name;
  }
  return to_hex(fingerprint({0, 0}, bytes));
}

void put(const LengthDistribution& lengths, Json& json) {
  json["tokens"] = Json::array();
  json["stopped"] = Json::array();
  json["cut_off"] = Json::array();
  for (const LengthBucket& bucket : lengths.buckets()) {
    json["tokens"].push_back(bucket.n_tokens);
    json["stopped"].push_back(bucket.n_stopped);
    json["cut_off"].push_back(bucket.n_cut_off);
  }
}

// Reads "output_lengths" with the file's name and the key's path at hand for errors.
class PriorReader {
 public:
  explicit PriorReader(std::string path) : path_(std::move(path)) {}

  LengthPrior read() const {
    const Json report = parse();
    if (!report.is_object() || report.value("schema", Json()) != kReportSchema) {
      const Json schema = report.is_object() ? report.value("schema", Json()) : Json();
      fail("schema", schema, fmt::format("\"{}\"", kReportSchema));
    }
    const Json& lengths = member(report, kLengthsKey, "");
    LengthPrior prior;
    prior.job = distribution(lengths, kLengthsKey);
    const Json& groups = member(lengths, "groups", kLengthsKey);
    const std::string groups_path = fmt::format("{}.groups", kLengthsKey);
    if (!groups.is_array()) fail(groups_path, groups, "an array");
    for (size_t i = 0; i < groups.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", groups_path, i);
      const Json& key = member(groups[i], "prefix", at);
      if (!key.is_string()) fail(at + ".prefix", key, "a string");
      prior.groups[key.get<std::string>()] = distribution(groups[i], at);
    }
    return prior;
  }

 private:
  Json parse() const {
    std::ifstream file(path_, std::ios::binary);
    if (!file) throw Error(fmt::format("--length-prior {}: cannot be read", path_));
    Json report = Json::parse(file, nullptr, false);
    if (report.is_discarded()) throw Error(fmt::format("--length-prior {}: is no JSON", path_));
    return report;
  }

  [[noreturn]] void fail(const std::string& key, const Json& value,
                         const std::string& wanted) const {
    constexpr size_t kShownBytes = 60;
    const std::string shown = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    throw Error(fmt::format("--length-prior {}: \"{}\" is {}; expected {}", path_, key,
                            shown.substr(0, kShownBytes), wanted));
  }

  const Json& member(const Json& object, const std::string& name, const std::string& at) const {
    if (!object.is_object()) fail(at, object, "an object");
    const auto found = object.find(name);
    if (found == object.end()) {
      throw Error(fmt::format("--length-prior {}: there is no \"{}\"; expected a report of a run",
                              path_, at.empty() ? name : at + "." + name));
    }
    return *found;
  }

  LengthDistribution distribution(const Json& json, const std::string& at) const {
    const std::vector<int64_t> tokens = integers(json, "tokens", at, LengthDistribution::kLongest);
    const std::vector<int64_t> stopped = integers(json, "stopped", at, kMostAnswers);
    const std::vector<int64_t> cut_off = integers(json, "cut_off", at, kMostAnswers);
    LengthDistribution lengths;
    for (size_t i = 0; i < tokens.size(); ++i) {
      lengths.add(static_cast<int32_t>(tokens[i]), stopped[i], cut_off[i]);
    }
    return lengths;
  }

  // As many as there are "tokens".
  std::vector<int64_t> integers(const Json& json, const std::string& name, const std::string& at,
                                int64_t most) const {
    const Json& array = member(json, name, at);
    const std::string key = at + "." + name;
    const size_t n_wanted = member(json, "tokens", at).size();
    if (!array.is_array() || array.size() != n_wanted) {
      fail(key, array, fmt::format("an array of {} numbers", n_wanted));
    }
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < array.size(); ++i) {
      const Json& item = array[i];
      const bool valid =
          item.is_number_unsigned() && item.get<uint64_t>() <= static_cast<uint64_t>(most);
      if (!valid) {
        fail(fmt::format("{}[{}]", key, i), item, fmt::format("an integer from 0 to {}", most));
      }
      numbers.push_back(item.get<int64_t>());
    }
    return numbers;
  }

  static constexpr int64_t kMostAnswers = int64_t{1} << 40;
  std::string path_;
};

}  // namespace

Json output_lengths_json(const LengthsByGroup& lengths, const PrefixTree& tree,
                         const PromptStore& prompts, std::span<const LoraOption> adapters) {
  Json json = Json::object();
  put(lengths.job, json);
  json["groups"] = Json::array();
  const std::vector<int32_t> nodes = prefix_groups(tree, LengthDistribution::kEnough);
  std::vector<std::pair<int64_t, size_t>> by_size;  // answers and place, most answers first
  for (size_t i = 0; i < lengths.groups.size(); ++i) {
    const int64_t n = lengths.groups[i].n_answers();
    if (n >= LengthDistribution::kEnough) by_size.emplace_back(-n, i);
  }
  std::sort(by_size.begin(), by_size.end());
  if (by_size.size() > kMaxGroups) by_size.resize(kMaxGroups);
  for (const auto& [_, i] : by_size) {
    Json group = {{"prefix", group_key(tree, nodes[i], prompts, adapters)}};
    put(lengths.groups[i], group);
    json["groups"].push_back(std::move(group));
  }
  return json;
}

LengthPrior read_length_prior(const std::string& path) { return PriorReader(path).read(); }

LengthsByGroup prior_of_groups(const LengthPrior& prior, const PrefixTree& tree,
                               const PromptStore& prompts, std::span<const LoraOption> adapters) {
  LengthsByGroup lengths;
  lengths.job = prior.job;
  for (const int32_t node : prefix_groups(tree, LengthDistribution::kEnough)) {
    const auto found = prior.groups.find(group_key(tree, node, prompts, adapters));
    lengths.groups.push_back(found == prior.groups.end() ? LengthDistribution() : found->second);
  }
  return lengths;
}

}  // namespace prefold
