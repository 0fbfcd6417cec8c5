#include "report/merged_report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "report/merged_histograms.h"
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
  // The texts that there are, each once.
  std::string texts(const std::string& key) const {
    std::vector<std::string> found;
    for (const ShardReport& shard : shards_) {
      const Json value = shard.report.value(Pointer("/" + key), Json());
      if (!value.is_string()) continue;
      if (std::find(found.begin(), found.end(), value) == found.end()) found.push_back(value);
    }
    return fmt::format("{}", fmt::join(found, ", "));
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
                             {"histogram", merged_step_histogram(shards)}};
  for (const char* column : {"first_step", "n_steps", "end_s", "prefill_tokens", "decode_tokens",
                             "live_requests", "kv_blocks"}) {
    json["series"][column] = Json::array();  // each shard has its own clock
  }
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
  const auto is_timed = [](const ShardReport& shard) {  // a GPU's host is not told
    return shard.report.value("op_time_s", Json()).is_object();
  };
  merged["op_time_s"] = nullptr;
  if (std::any_of(shards.begin(), shards.end(), is_timed)) {
    merged["op_time_s"] =
        sums(reports, "op_time_s",
             {"linear", "attention", "kv_cache", "elementwise", "lm_head", "sampling"});
  }
  merged["ttft_ms"] = merged_durations(shards, "ttft_ms");
  merged["latency_ms"] = merged_durations(shards, "latency_ms");
  merged["memory_bytes"] = most_of(reports, "memory_bytes", {"peak_rss", "peak_kv", "kv_pool"});
  merged["kv_blocks"] = most_of(reports, "kv_blocks", {"peak", "pool"});
  merged["machine"] = reports.common("machine");
  merged["model"] = reports.common("model");
  for (const char* key : {"machine/cpu", "machine/isa", "model/path", "model/architecture"}) {
    merged[Pointer(std::string("/") + key)] = reports.texts(key);
  }
  merged["machine"]["threads"] = reports.most("machine/threads");
  merged["options"] = reports.common("options");
  merged["options"]["max_num_batched_tokens"] = reports.most("options/max_num_batched_tokens");
  merged["cost_model"] = reports.common("cost_model");
  merged["prediction"] = {{"count", reports.sum("prediction/count")},
                          {"mean_abs_error_tokens",
                           reports.mean("prediction/mean_abs_error_tokens", "prediction/count")},
                          {"under_predicted_percent",
                           reports.mean("prediction/under_predicted_percent", "prediction/count")}};
  merged["output_lengths"] = merged_output_lengths(shards);
  merged["steps"] = steps(reports, shards);
  merged["prefix_forest"] = nullptr;  // that of the whole job is not known
  merged["shards"] = shard_rows(shards);
  return merged;
}

}  // namespace prefold
