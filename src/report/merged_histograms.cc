#include "report/merged_histograms.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;
using Pointer = Json::json_pointer;

// Adds up equally long arrays of lengths and of answers that have them.
class Lengths {
 public:
  void add(const Json& lengths) {
    const auto array = [&](const char* name) {
      return lengths.value(name, std::vector<int64_t>());
    };
    const std::vector<int64_t> tokens = array("tokens");
    const std::vector<int64_t> stopped = array("stopped");
    const std::vector<int64_t> cut_off = array("cut_off");
    for (size_t i = 0; i < tokens.size() && i < stopped.size() && i < cut_off.size(); ++i) {
      counts_[tokens[i]].first += stopped[i];
      counts_[tokens[i]].second += cut_off[i];
    }
  }
  void write(Json& json) const {
    json["tokens"] = json["stopped"] = json["cut_off"] = Json::array();
    for (const auto& [tokens, count] : counts_) {
      json["tokens"].push_back(tokens);
      json["stopped"].push_back(count.first);
      json["cut_off"].push_back(count.second);
    }
  }
  int64_t n_answers() const {
    int64_t n = 0;
    for (const auto& [tokens, count] : counts_) n += count.first + count.second;
    return n;
  }

 private:
  std::map<int64_t, std::pair<int64_t, int64_t>> counts_;
};

}  // namespace

Json merged_durations(std::span<const ShardReport> shards, const std::string& key) {
  std::map<double, int64_t> buckets;  // by to_ms
  int64_t n_all = 0;
  double sum = 0, max = 0;
  std::optional<double> min;
  for (const ShardReport& shard : shards) {
    const Json own = shard.report.value(Pointer("/" + key), Json::object());
    const auto to_ms = own.value(Pointer("/histogram/to_ms"), std::vector<double>());
    const auto counts = own.value(Pointer("/histogram/count"), std::vector<int64_t>());
    for (size_t i = 0; i < to_ms.size() && i < counts.size(); ++i) buckets[to_ms[i]] += counts[i];
    const auto n = own.value("count", int64_t{0});
    if (n == 0) continue;
    n_all += n;
    sum += static_cast<double>(n) * own.value("mean", 0.0);
    min = std::min(min.value_or(own.value("min", 0.0)), own.value("min", 0.0));
    max = std::max(max, own.value("max", 0.0));
  }
  Json histogram = {{"to_ms", Json::array()}, {"count", Json::array()}};
  for (const auto& [to_ms, n] : buckets) {
    histogram["to_ms"].push_back(to_ms);
    histogram["count"].push_back(n);
  }
  const auto quantile = [&](double q) {
    constexpr double kHalfBucket = 0.989227;  // 2^(-1/64): from its end to its middle
    int64_t n_seen = 0;
    for (const auto& [to_ms, n] : buckets) {
      n_seen += n;
      if (static_cast<double>(n_seen) >= q * static_cast<double>(n_all)) {
        return std::clamp(to_ms * kHalfBucket, min.value_or(0), max);
      }
    }
    return 0.0;
  };
  return {{"count", n_all},
          {"mean", n_all > 0 ? sum / static_cast<double>(n_all) : 0.0},
          {"min", min.value_or(0)},
          {"p50", quantile(0.5)},
          {"p90", quantile(0.9)},
          {"p99", quantile(0.99)},
          {"max", max},
          {"histogram", std::move(histogram)}};
}

Json merged_step_histogram(std::span<const ShardReport> shards) {
  Json buckets = Json::array();
  for (const ShardReport& shard : shards) {
    const Json own = shard.report.value(Pointer("/steps/tokens_per_step/histogram"), Json::array());
    for (size_t i = 0; i < own.size(); ++i) {
      if (i == buckets.size()) {
        buckets.push_back(own[i]);
      } else {
        buckets[i]["steps"] =
            buckets[i].value("steps", int64_t{0}) + own[i].value("steps", int64_t{0});
      }
    }
  }
  return buckets;
}

Json merged_output_lengths(std::span<const ShardReport> shards) {
  constexpr size_t kMaxGroups = 256;
  Lengths job;
  std::map<std::string, Lengths> groups;
  for (const ShardReport& shard : shards) {
    const Json lengths = shard.report.value("output_lengths", Json::object());
    job.add(lengths);
    for (const Json& group : lengths.value("groups", Json::array())) {
      groups[group.value("prefix", "")].add(group);
    }
  }
  std::vector<std::pair<std::string, Lengths>> most(groups.begin(), groups.end());
  std::stable_sort(most.begin(), most.end(), [](const auto& a, const auto& b) {
    return a.second.n_answers() > b.second.n_answers();
  });
  most.resize(std::min(most.size(), kMaxGroups));
  Json json = Json::object();
  job.write(json);
  json["groups"] = Json::array();
  for (const auto& [prefix, lengths] : most) {
    Json group = {{"prefix", prefix}};
    lengths.write(group);
    json["groups"].push_back(std::move(group));
  }
  return json;
}

}  // namespace prefold
