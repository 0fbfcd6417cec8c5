#include "report/merged_report.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"
#include "report/report.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;
using Pointer = Json::json_pointer;

constexpr std::uintmax_t kMaxBytes = std::uintmax_t{64} << 20;

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

// Reads the same key of all reports. A key that is not there, or null, counts for nothing.
class Reports {
 public:
  explicit Reports(std::span<const ShardReport> shards) : shards_(shards) {}

  template <typename Fn>
  void each(const std::string& key, Fn&& fn) const {
    const Pointer pointer("/" + key);
    for (const ShardReport& shard : shards_) {
      if (!shard.report.contains(pointer)) continue;
      const Json& value = shard.report[pointer];
      if (value.is_number()) fn(value, shard.report);
    }
  }
  // Integers stay integers.
  Json sum(const std::string& key) const {
    int64_t whole = 0;
    double real = 0;
    bool is_real = false;
    each(key, [&](const Json& value, const Json&) {
      is_real = is_real || !value.is_number_integer();
      if (value.is_number_integer()) whole += value.get<int64_t>();
      real += value.get<double>();
    });
    return is_real ? Json(real) : Json(whole);
  }
  Json most(const std::string& key) const {
    Json most = 0;
    each(key, [&](const Json& value, const Json&) { most = std::max(most, value); });
    return most;
  }
  double number(const std::string& key) const { return sum(key).get<double>(); }
  // The mean of `key`, each report counting as much as its `weight` says.
  double mean(const std::string& key, const std::string& weight) const {
    double total = 0, weights = 0;
    each(key, [&](const Json& value, const Json& report) {
      const double w = report.value(Pointer("/" + weight), 0.0);
      total += w * value.get<double>();
      weights += w;
    });
    return ratio(total, weights);
  }
  // The value that all have; null if they differ. Of an object, key by key.
  Json common(const std::string& key) const {
    const Pointer pointer("/" + key);
    const auto value_of = [&](const ShardReport& shard) {
      return shard.report.contains(pointer) ? shard.report[pointer] : Json();
    };
    if (shards_.empty()) return nullptr;
    Json first = value_of(shards_.front());
    if (first.is_object()) {
      for (auto& [name, value] : first.items()) value = common(key + "/" + escaped(name));
      return first;
    }
    const bool same = std::all_of(shards_.begin(), shards_.end(), [&](const ShardReport& shard) {
      return value_of(shard) == first;
    });
    return same ? first : Json();
  }

 private:
  static std::string escaped(std::string name) {  // RFC 6901
    for (size_t i = 0; i < name.size(); ++i) {
      if (name[i] == '~') name.replace(i++, 1, "~0");
      if (name[i] == '/') name.replace(i++, 1, "~1");
    }
    return name;
  }

  std::span<const ShardReport> shards_;
};

Json sums(const Reports& reports, const std::string& object,
          std::initializer_list<const char*> keys) {
  Json json = Json::object();
  for (const char* key : keys) json[key] = reports.sum(object + "/" + key);
  return json;
}

Json most_of(const Reports& reports, const std::string& object,
             std::initializer_list<const char*> keys) {
  Json json = Json::object();
  for (const char* key : keys) json[key] = reports.most(object + "/" + key);
  return json;
}

// Latencies are counted from each shard's own first step.
Json durations(const Reports& reports, const std::string& key) {
  Json least;
  reports.each(key + "/min", [&](const Json& value, const Json& report) {
    if (report.value(Pointer("/" + key + "/count"), int64_t{0}) == 0) return;
    least = least.is_null() ? value : std::min(least, value);
  });
  return {{"count", reports.sum(key + "/count")},
          {"mean", reports.mean(key + "/mean", key + "/count")},
          {"min", least.is_null() ? Json(0.0) : least},
          {"p50", nullptr},
          {"p90", nullptr},
          {"p99", nullptr},
          {"max", reports.most(key + "/max")}};
}

Json histogram(std::span<const ShardReport> shards) {
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

// As one run would have written it, so that it can be a --length-prior.
Json output_lengths(std::span<const ShardReport> shards) {
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

Json token_counts(const Reports& reports) {
  Json tokens = sums(reports, "tokens",
                     {"prompt", "prefill_ideal", "prefill_computed", "prefill_reused", "recomputed",
                      "output", "padding"});
  const double prompt = reports.number("tokens/prompt");
  const auto saved = [&](const char* computed) {
    return prompt > 0 ? 100 * ratio(prompt - reports.number(computed), prompt) : 0.0;
  };
  tokens["saved_percent"] = saved("tokens/prefill_computed");
  tokens["saved_ideal_percent"] = saved("tokens/prefill_ideal");
  return tokens;
}

Json steps(const Reports& reports, std::span<const ShardReport> shards) {
  Json json = sums(reports, "steps", {"count", "prefill_tokens", "decode_tokens", "yields"});
  json["peak_live_requests"] = reports.most("steps/peak_live_requests");
  json["tokens_per_step"] = {{"mean", reports.mean("steps/tokens_per_step/mean", "steps/count")},
                             {"max", reports.most("steps/tokens_per_step/max")},
                             {"histogram", histogram(shards)}};
  json["series"] = nullptr;
  return json;
}

Json shard_rows(std::span<const ShardReport> shards) {
  Json rows = Json::array();
  for (const ShardReport& shard : shards) {
    const Json& report = shard.report;
    const auto at = [&](const char* key) { return report.value(Pointer(key), Json()); };
    rows.push_back({{"shard", shard.shard},
                    {"requests", at("/requests")},
                    {"tokens",
                     {{"prompt", at("/tokens/prompt")},
                      {"prefill_computed", at("/tokens/prefill_computed")},
                      {"output", at("/tokens/output")}}},
                    {"time_s", at("/time_s")},
                    {"predicted_s", shard.predicted_s},
                    {"machine", at("/machine")}});
  }
  return rows;
}

}  // namespace

Json read_report(const std::string& path) {
  std::error_code error;
  const std::uintmax_t n_bytes = std::filesystem::file_size(path, error);
  if (error) throw Error(fmt::format("cannot read {}: {}", path, error.message()));
  if (n_bytes > kMaxBytes) {
    throw FormatError(fmt::format("{}: has {} bytes; expected a report", path, n_bytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(n_bytes, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(n_bytes))) {
    throw Error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  Json report = Json::parse(text, nullptr, false);
  const Json schema = report.is_object() ? report.value("schema", Json()) : Json();
  if (schema != kReportSchema) {
    throw FormatError(
        fmt::format("{}: \"schema\" is {}; expected \"{}\"", path, schema.dump(), kReportSchema));
  }
  return report;
}

Json merge_reports(std::span<const ShardReport> shards) {
  const Reports reports(shards);
  const double run_s = reports.most("time_s/run").get<double>();
  const std::initializer_list<const char*> phases = {"load", "plan", "run", "total"};
  Json merged = {
      {"schema", kReportSchema},
      {"units",
       shards.empty() ? Json::object() : shards.front().report.value("units", Json::object())},
      {"requests", sums(reports, "requests", {"total", "succeeded", "failed", "kept", "left"})},
      {"stop", reports.common("stop")},
      {"tokens", token_counts(reports)},
      {"time_s", most_of(reports, "time_s", phases)},
      {"machine_time_s", sums(reports, "time_s", phases)},
      {"throughput", Json::object()}};
  merged["throughput"] = {{"requests_per_s", ratio(reports.number("requests/succeeded"), run_s)},
                          {"prompt_tokens_per_s", ratio(reports.number("tokens/prompt"), run_s)},
                          {"output_tokens_per_s", ratio(reports.number("tokens/output"), run_s)}};
  merged["engine"] = {{"wait_percent", reports.mean("engine/wait_percent", "time_s/run")}};
  merged["op_time_s"] =
      sums(reports, "op_time_s",
           {"linear", "attention", "kv_cache", "elementwise", "lm_head", "sampling"});
  merged["ttft_ms"] = durations(reports, "ttft_ms");
  merged["latency_ms"] = durations(reports, "latency_ms");
  merged["memory_bytes"] = most_of(reports, "memory_bytes", {"peak_rss", "peak_kv", "kv_pool"});
  merged["kv_blocks"] = most_of(reports, "kv_blocks", {"peak", "pool"});
  merged["machine"] = reports.common("machine");
  merged["model"] = reports.common("model");
  merged["options"] = reports.common("options");
  merged["cost_model"] = reports.common("cost_model");
  merged["prediction"] = {{"count", reports.sum("prediction/count")},
                          {"mean_abs_error_tokens",
                           reports.mean("prediction/mean_abs_error_tokens", "prediction/count")},
                          {"under_predicted_percent",
                           reports.mean("prediction/under_predicted_percent", "prediction/count")}};
  merged["output_lengths"] = output_lengths(shards);
  merged["steps"] = steps(reports, shards);
  merged["prefix_forest"] = nullptr;  // that of the whole job is not known
  merged["shards"] = shard_rows(shards);
  return merged;
}

}  // namespace prefold
