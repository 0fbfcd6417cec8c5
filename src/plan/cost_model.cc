#include "plan/cost_model.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr int32_t kBudgetStep = 64;  // the rows of a GEMM tile divide it
// One layer alone, whose weights stay in the cache, is as fast per row with fewer; a step of all
// layers is not.
constexpr int32_t kLeastBudget = 256;
constexpr double kStillGrowing = 1.02;

constexpr size_t kMaxPoints = 256;
constexpr int64_t kMaxCount = 1 << 20;
constexpr double kMaxNs = 1e15;  // eleven days
constexpr int kMaxDepth = 8;
constexpr size_t kShownBytes = 60;

Json curve_json(const CostCurve& curve) {
  Json points = Json::array();
  for (const CostPoint& point : curve) points.push_back({point.n, point.ns});
  return points;
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

// Reads a cost model out of JSON; every error names the file and the key.
class Reader {
 public:
  Reader(const Json& root, const std::string& file) : root_(root), file_(file) {}

  CostModel read() const {
    const Json& schema = at(root_, "schema", "schema");
    if (schema != kCostModelSchema) {
      fail("schema", schema, fmt::format("\"{}\"", kCostModelSchema));
    }
    const Json& attention = at(root_, "attention", "attention");
    if (!attention.is_object()) fail("attention", attention, "an object");
    CostModel costs;
    costs.attention.tile_ns = curve(attention, "tile_ns", "attention.tile_ns");
    const Json& segment = at(attention, "segment_ns", "attention.segment_ns");
    if (!is_ns(segment) || segment.get<double>() < 0) {
      fail("attention.segment_ns", segment, "nanoseconds, a number from 0 to 1e15");
    }
    costs.attention.segment_ns = segment.get<double>();
    costs.layer_ns = curve(root_, "layer_ns", "layer_ns");
    costs.sample_ns = curve(root_, "sample_ns", "sample_ns");
    return costs;
  }

 private:
  static bool is_ns(const Json& value) {
    return value.is_number() && std::abs(value.get<double>()) <= kMaxNs;
  }

  [[noreturn]] void fail(const std::string& key, const Json& value,
                         const std::string& wanted) const {
    throw FormatError(
        fmt::format("{}: \"{}\" is {}; expected {}", file_, key, shown(value), wanted));
  }

  const Json& at(const Json& object, const char* key, const std::string& path) const {
    const auto found = object.find(key);
    if (found == object.end()) {
      throw FormatError(fmt::format("{}: \"{}\" is missing; expected {}", file_, path,
                                    "a cost model (docs/formats.md)"));
    }
    return *found;
  }

  CostCurve curve(const Json& object, const char* key, const std::string& path) const {
    const Json& points = at(object, key, path);
    if (!points.is_array() || points.empty() || points.size() > kMaxPoints) {
      fail(path, points, fmt::format("an array of 1 to {} pairs [count, ns]", kMaxPoints));
    }
    CostCurve result;
    for (size_t i = 0; i < points.size(); ++i) {
      const Json& point = points[i];
      const bool is_point = point.is_array() && point.size() == 2 && point[0].is_number_integer() &&
                            is_ns(point[1]) && point[1].get<double>() > 0;
      const int64_t least = result.empty() ? 1 : result.back().n + 1;
      if (!is_point || point[0] < least || point[0] > kMaxCount) {
        fail(fmt::format("{}[{}]", path, i), point,
             fmt::format("[count, ns], the count an integer from {} to {}, ns above 0 and up to "
                         "1e15",
                         least, kMaxCount));
      }
      result.push_back({point[0].get<int32_t>(), point[1].get<double>()});
    }
    return result;
  }

  const Json& root_;
  const std::string& file_;
};

}  // namespace

CostModel default_cost_model() {
  CostModel costs;
  costs.attention.tile_ns = {{3, 600}, {6, 820}, {12, 1550}, {24, 3070}, {96, 12500}};
  costs.attention.segment_ns = 300;
  costs.layer_ns = {{1, 130e3}, {64, 2.3e6}, {512, 18.1e6}};
  costs.sample_ns = {{1, 1.2e6}, {64, 19.6e6}};
  return costs;
}

double cost_at(const CostCurve& curve, double n) {
  CHECK(!curve.empty());
  if (n <= curve.front().n) return curve.front().ns;
  if (n >= curve.back().n) return curve.back().ns * n / curve.back().n;
  const auto above = std::lower_bound(curve.begin(), curve.end(), n,
                                      [](const CostPoint& point, double x) { return point.n < x; });
  const CostPoint& below = above[-1];
  return below.ns + (above->ns - below.ns) * (n - below.n) / (above->n - below.n);
}

double tile_ns(const AttentionCosts& costs, int64_t n_pairs) {
  const int64_t most = costs.tile_ns.back().n;
  if (n_pairs <= most) return cost_at(costs.tile_ns, static_cast<double>(n_pairs));
  const auto n_parts = static_cast<double>((n_pairs + most - 1) / most);
  return n_parts * cost_at(costs.tile_ns, static_cast<double>(n_pairs) / n_parts);
}

// The first tile that a row of the span sees.
static int32_t first_tile(const RowSpan& span, int32_t window) {
  return window == 0 ? 0 : std::max(span.first_position - window + 1, 0) / kKvBlockTokens;
}

double attention_ns(const AttentionCosts& costs, int32_t n_group, std::span<const RowSpan> spans,
                    std::span<const SharedSegment> segments, int32_t window) {
  std::vector<int32_t> n_covered(spans.size(), 0);
  double ns = 0;
  for (const SharedSegment& segment : segments) {
    int64_t n_rows = 0;
    int32_t begin = segment.end_block;
    for (int32_t i = segment.first_span; i < segment.first_span + segment.n_spans; ++i) {
      n_rows += spans[i].n_rows;
      n_covered[i] = std::max(n_covered[i], segment.end_block);
      begin = std::min(begin, first_tile(spans[i], window));
    }
    begin = std::max(begin, segment.begin_block);
    ns += costs.segment_ns + (segment.end_block - begin) * tile_ns(costs, n_rows * n_group);
  }
  for (size_t i = 0; i < spans.size(); ++i) {
    const int32_t begin = std::max(n_covered[i], first_tile(spans[i], window));
    ns += (spans[i].n_blocks - begin) * tile_ns(costs, int64_t{spans[i].n_rows} * n_group);
  }
  return ns;
}

int32_t best_token_budget(const CostModel& costs, int32_t n_layers) {
  const double fixed_ns = cost_at(costs.sample_ns, 1);
  const auto rate = [&](const CostPoint& point) {
    return point.n / (n_layers * point.ns + fixed_ns);
  };
  const auto counts = [](const CostPoint& point) {
    return point.n >= kLeastBudget && point.n % kBudgetStep == 0;
  };
  double most = 0;
  for (const CostPoint& point : costs.layer_ns) {
    if (counts(point)) most = std::max(most, rate(point));
  }
  for (const CostPoint& point : costs.layer_ns) {
    if (!counts(point) || rate(point) * kStillGrowing < most) continue;
    const bool is_growing = point.n == costs.layer_ns.back().n;
    return is_growing ? std::max(point.n, kDefaultTokenBudget) : point.n;
  }
  return kDefaultTokenBudget;
}

nlohmann::ordered_json to_json(const CostModel& costs) {
  return {{"schema", kCostModelSchema},
          {"attention",
           {{"tile_ns", curve_json(costs.attention.tile_ns)},
            {"segment_ns", costs.attention.segment_ns}}},
          {"layer_ns", curve_json(costs.layer_ns)},
          {"sample_ns", curve_json(costs.sample_ns)}};
}

CostModel parse_cost_model(std::string_view text, const std::string& file) {
  const auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) {
      throw FormatError(
          fmt::format("{}: JSON nested deeper than {}; expected a cost model "
                      "(docs/formats.md)",
                      file, kMaxDepth));
    }
    return true;
  };
  const Json root = Json::parse(text, check_depth, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    throw FormatError(
        fmt::format("{}: not a JSON object; expected a cost model (docs/formats.md)", file));
  }
  return Reader(root, file).read();
}

}  // namespace prefold
