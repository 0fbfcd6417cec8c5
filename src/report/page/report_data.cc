#include "report/page/report_data.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "report/report.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxPoints = 100'000;
constexpr size_t kMaxNodes = 10'000;
constexpr double kLargest = 1e18;
constexpr size_t kShownBytes = 60;

class Reader {
 public:
  Reader(const std::string& file, std::string_view text) : file_(file) {
    root_ = Json::parse(text, nullptr, false);
    if (root_.is_discarded()) throw FormatError(file + ": is no JSON; expected a report of a run");
    if (!root_.is_object() || !root_.contains("schema")) {
      throw FormatError(file + ": there is no \"schema\"; expected a report of a run (--report)");
    }
    if (root_["schema"] != kReportSchema) fail("schema", root_["schema"], kReportSchema);
  }

  // key: names with dots between.
  const Json* find(const std::string& key) const {
    const Json* at = &root_;
    for (size_t from = 0; from <= key.size();) {
      const size_t dot = std::min(key.find('.', from), key.size());
      const std::string name = key.substr(from, dot - from);
      if (!at->is_object() || !at->contains(name)) return nullptr;
      at = &(*at)[name];
      from = dot + 1;
    }
    return at;
  }

  const Json& get(const std::string& key) const {
    const Json* found = find(key);
    if (found == nullptr) throw FormatError(fmt::format("{}: there is no \"{}\"", file_, key));
    return *found;
  }

  double number(const std::string& key) const { return number(key, get(key)); }
  double number(const std::string& key, const Json& value) const {
    if (!value.is_number()) fail(key, value, "a number");
    const auto n = value.get<double>();
    if (!std::isfinite(n) || n < 0 || n > kLargest) fail(key, value, "a number from 0 to 1e18");
    return n;
  }

  std::string text(const std::string& key) const {
    const Json& value = get(key);
    if (!value.is_string()) fail(key, value, "a text");
    return value.get<std::string>();
  }

  std::vector<double> numbers(const std::string& key, size_t most) const {
    const Json& array = get(key);
    if (!array.is_array() || array.size() > most) {
      fail(key, array, fmt::format("an array of at most {} numbers", most));
    }
    std::vector<double> values;
    for (const Json& value : array) values.push_back(number(key, value));
    return values;
  }

  // Equally long ones below `at`.
  std::vector<std::vector<double>> columns(const std::string& at,
                                           const std::vector<const char*>& names,
                                           size_t most) const {
    std::vector<std::vector<double>> values;
    for (const char* name : names) {
      const std::string key = at + "." + name;
      values.push_back(numbers(key, most));
      if (values.back().size() != values.front().size()) {
        fail(key, get(key), fmt::format("{} numbers", values.front().size()));
      }
    }
    return values;
  }

  [[noreturn]] void fail(const std::string& key, const Json& value,
                         const std::string& wanted) const {
    const std::string shown = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    throw FormatError(fmt::format("{}: \"{}\" is {}{}; expected {}", file_, key,
                                  shown.substr(0, kShownBytes),
                                  shown.size() > kShownBytes ? "..." : "", wanted));
  }

 private:
  std::string file_;
  Json root_;
};

DurationData durations(const Reader& reader, const std::string& key) {
  DurationData data;
  data.count = reader.number(key + ".count");
  data.mean = reader.number(key + ".mean");
  data.p50 = reader.number(key + ".p50");
  data.p90 = reader.number(key + ".p90");
  data.p99 = reader.number(key + ".p99");
  data.max = reader.number(key + ".max");
  if (reader.find(key + ".histogram") == nullptr) return data;
  const auto columns = reader.columns(key + ".histogram", {"to_ms", "count"}, kMaxPoints);
  for (size_t i = 0; i < columns[0].size(); ++i) {
    if (i > 0 && columns[0][i] <= columns[0][i - 1]) {
      reader.fail(key + ".histogram.to_ms", columns[0][i], "rising numbers");
    }
    data.histogram.emplace_back(columns[0][i], columns[1][i]);
  }
  return data;
}

std::vector<SeriesPoint> series(const Reader& reader) {
  const auto columns = reader.columns(
      "steps.series",
      {"end_s", "n_steps", "prefill_tokens", "decode_tokens", "live_requests", "kv_blocks"},
      kMaxPoints);
  std::vector<SeriesPoint> points;
  for (size_t i = 0; i < columns[0].size(); ++i) {
    points.push_back(
        {columns[0][i], columns[1][i], columns[2][i], columns[3][i], columns[4][i], columns[5][i]});
    if (i > 0 && points[i].end_s < points[i - 1].end_s) {
      reader.fail("steps.series.end_s", points[i].end_s, "rising numbers");
    }
    if (points[i].n_steps < 1) reader.fail("steps.series.n_steps", points[i].n_steps, "1 or more");
  }
  return points;
}

std::vector<ForestNode> forest(const Reader& reader) {
  const Json* found = reader.find("prefix_forest.parent");
  if (found == nullptr) return {};
  if (!found->is_array() || found->size() > kMaxNodes) {
    reader.fail("prefix_forest.parent", *found, fmt::format("at most {} nodes", kMaxNodes));
  }
  const auto columns = reader.columns(
      "prefix_forest",
      {"depth", "tokens", "prompts", "first_request", "hidden_nodes", "hidden_tokens"}, kMaxNodes);
  if (columns[0].size() != found->size()) {
    reader.fail("prefix_forest.parent", *found, fmt::format("{} numbers", columns[0].size()));
  }
  std::vector<ForestNode> nodes;
  for (size_t i = 0; i < columns[0].size(); ++i) {
    const Json& parent = (*found)[i];
    const bool is_earlier = parent.is_number_integer() && parent.get<int64_t>() >= 0 &&
                            parent.get<int64_t>() < static_cast<int64_t>(i);
    if (i > 0 ? !is_earlier : !parent.is_null()) {
      reader.fail(fmt::format("prefix_forest.parent[{}]", i), parent,
                  i > 0 ? "the number of an earlier node" : "null");
    }
    nodes.push_back({i > 0 ? parent.get<int32_t>() : -1, columns[0][i], columns[1][i],
                     columns[2][i], columns[3][i], columns[4][i], columns[5][i]});
  }
  return nodes;
}

void read_counts(const Reader& reader, ReportData& data) {
  data.n_requests = reader.number("requests.total");
  data.n_succeeded = reader.number("requests.succeeded");
  data.n_failed = reader.number("requests.failed");
  data.prompt_tokens = reader.number("tokens.prompt");
  data.ideal_tokens = reader.number("tokens.prefill_ideal");
  data.computed_tokens = reader.number("tokens.prefill_computed");
  data.reused_tokens = reader.number("tokens.prefill_reused");
  data.recomputed_tokens = reader.number("tokens.recomputed");
  data.output_tokens = reader.number("tokens.output");
  data.padding_tokens = reader.number("tokens.padding");
  data.load_s = reader.number("time_s.load");
  data.plan_s = reader.number("time_s.plan");
  data.run_s = reader.number("time_s.run");
  data.total_s = reader.number("time_s.total");
  data.wait_percent = reader.number("engine.wait_percent");
  data.requests_per_s = reader.number("throughput.requests_per_s");
  data.prompt_tokens_per_s = reader.number("throughput.prompt_tokens_per_s");
  data.output_tokens_per_s = reader.number("throughput.output_tokens_per_s");
  data.peak_rss_bytes = reader.number("memory_bytes.peak_rss");
  data.peak_kv_bytes = reader.number("memory_bytes.peak_kv");
  data.kv_pool_bytes = reader.number("memory_bytes.kv_pool");
  data.kv_pool_blocks = reader.number("kv_blocks.pool");
  data.n_steps = reader.number("steps.count");
  data.mean_step_tokens = reader.number("steps.tokens_per_step.mean");
  data.max_step_tokens = reader.number("steps.tokens_per_step.max");
  data.peak_live = reader.number("steps.peak_live_requests");
  data.n_yields = reader.number("steps.yields");
}

}  // namespace

ReportData read_report_data(const std::string& file, std::string_view text) {
  const Reader reader(file, text);
  ReportData data;
  data.file = file;
  data.model = reader.text("model.path");
  data.architecture = reader.text("model.architecture");
  data.cpu = reader.text("machine.cpu");
  data.isa = reader.text("machine.isa");
  data.threads = reader.number("machine.threads");
  if (reader.find("machine.gpu.name") != nullptr) data.gpu = reader.text("machine.gpu.name");
  read_counts(reader, data);
  const Json& ops = reader.get("op_time_s");
  if (!ops.is_null() && !ops.is_object()) reader.fail("op_time_s", ops, "an object or null");
  if (ops.size() > kMaxNodes) reader.fail("op_time_s", ops, "fewer entries");
  for (const auto& [name, value] : ops.items()) {
    data.op_s.emplace_back(name, reader.number("op_time_s." + name, value));
  }
  data.ttft = durations(reader, "ttft_ms");
  data.latency = durations(reader, "latency_ms");
  data.series = series(reader);
  data.forest = forest(reader);
  const Json& options = reader.get("options");
  if (!options.is_object()) reader.fail("options", options, "an object");
  for (const auto& [name, value] : options.items()) {
    data.options.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  if (reader.find("options.max_num_batched_tokens") != nullptr) {
    data.token_budget = reader.number("options.max_num_batched_tokens");
  }
  return data;
}

}  // namespace prefold
