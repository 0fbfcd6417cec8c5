#include "plan/cost_model.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

using namespace prefold;

namespace {

const char* const kText = R"({"schema": "prefold-cost-model/1",
  "attention": {"tile_ns": [[3, 300], [12, 600], [96, 4000.5]], "segment_ns": 1500},
  "layer_ns": [[1, 1000], [128, 12800], [256, 20000], [512, 39500]],
  "sample_ns": [[1, 50], [64, 640]], "measured_on": {"cpu": "any"}})";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kText;
  text.replace(text.find(from), from.size(), to);
  return text;
}

std::string error_of(const std::string& text) {
  try {
    parse_cost_model(text, "costs.json");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a curve is linear between its points, level before and proportional after them") {
  const CostCurve curve{{2, 10}, {4, 30}};
  CHECK(cost_at(curve, 1) == 10);
  CHECK(cost_at(curve, 2) == 10);
  CHECK(cost_at(curve, 3) == 20);
  CHECK(cost_at(curve, 4) == 30);
  CHECK(cost_at(curve, 8) == 60);
}

TEST_CASE("more pairs than the kernel takes at once read a tile in equal parts") {
  const AttentionCosts costs{{{4, 100}, {8, 140}}, 0};
  CHECK(tile_ns(costs, 8) == 140);
  CHECK(tile_ns(costs, 10) == 2 * 110);
  CHECK(tile_ns(costs, 16) == 2 * 140);
  CHECK(tile_ns(costs, 18) == 3 * 120);
}

TEST_CASE("attention is the segments and what they leave to each span") {
  const AttentionCosts costs{{{2, 10}, {4, 14}, {8, 22}}, 5};
  // Two query heads a KV head. Two spans of one row, one of two rows.
  const std::vector<RowSpan> spans{{0, 1, 96, 0, 4}, {1, 1, 96, 4, 4}, {2, 2, 70, 8, 3}};
  CHECK(attention_ns(costs, 2, spans, {}) == 4 * 10 + 4 * 10 + 3 * 14);
  const std::vector<SharedSegment> segments{{0, 1, 0, 3}, {1, 3, 0, 2}};
  CHECK(attention_ns(costs, 2, spans, {}, 1 << 20) == attention_ns(costs, 2, spans, {}));
  CHECK(attention_ns(costs, 2, spans, segments) == (5 + 22) + (5 + 2 * 14) + 10 + 10 + 2 * 14);
  // Through a window of 33 the spans see from tiles 2, 2 and 1 on.
  CHECK(attention_ns(costs, 2, spans, {}, 33) == 2 * 10 + 2 * 10 + 2 * 14);
  CHECK(attention_ns(costs, 2, spans, segments, 33) == 5 + (5 + 14) + 10 + 10 + 2 * 14);
}

TEST_CASE("the token budget is where rows per second stop growing") {
  CostModel costs = parse_cost_model(kText, "costs.json");
  CHECK(best_token_budget(costs, 1) == 256);  // 512 rows are 1.4 % faster per row
  costs.sample_ns = {{1, 300}};
  CHECK(best_token_budget(costs, 1) == 512);  // now 2.2 %, but not with more layers
  CHECK(best_token_budget(costs, 30) == 256);
  costs.sample_ns = {{1, 1e-9}};
  costs.layer_ns = {{64, 100}, {128, 200}, {200, 210}, {1024, 1500}};
  CHECK(best_token_budget(costs, 1) == 1024);  // 200 is no multiple of 64
  costs.layer_ns = {{256, 200}, {384, 200}};
  CHECK(best_token_budget(costs, 1) == kDefaultTokenBudget);  // growing still where it ends
  costs.layer_ns = {{128, 200}, {256, 400}, {512, 800}};
  CHECK(best_token_budget(costs, 1) == 256);  // never fewer
  costs.layer_ns = {{1, 200}, {64, 300}};
  CHECK(best_token_budget(costs, 1) == kDefaultTokenBudget);
}

TEST_CASE("a cost model reads back as it was written") {
  const CostModel costs = parse_cost_model(kText, "costs.json");
  CHECK(costs.attention.tile_ns[2].n == 96);
  CHECK(costs.attention.tile_ns[2].ns == 4000.5);
  CHECK(costs.attention.segment_ns == 1500);
  CHECK(costs.layer_ns.size() == 4);
  CHECK(costs.sample_ns[1].ns == 640);
  CHECK(to_json(parse_cost_model(to_json(costs).dump(), "again")) == to_json(costs));
}

TEST_CASE("the built-in cost model is a valid one") {
  CHECK(error_of(to_json(default_cost_model()).dump()) == "no error");
  CHECK(best_token_budget(default_cost_model(), 30) == kDefaultTokenBudget);
}

TEST_CASE("a broken cost model is refused with file, key, value and what was wanted") {
  CHECK(error_of("") == "costs.json: not a JSON object; expected a cost model (docs/formats.md)");
  CHECK(error_of("[1]") ==
        "costs.json: not a JSON object; expected a cost model (docs/formats.md)");
  CHECK(error_of(with("cost-model/1", "cost-model/2")) ==
        "costs.json: \"schema\" is \"prefold-cost-model/2\"; expected \"prefold-cost-model/1\"");
  CHECK(error_of(with("\"layer_ns\"", "\"layer\"")) ==
        "costs.json: \"layer_ns\" is missing; expected a cost model (docs/formats.md)");
  CHECK(error_of(with("1500", "-1")) ==
        "costs.json: \"attention.segment_ns\" is -1; expected nanoseconds, a number from 0 to "
        "1e15");
  CHECK(error_of(with("[12, 600]", "[3, 600]")) ==
        "costs.json: \"attention.tile_ns[1]\" is [3,600]; expected [count, ns], the count an "
        "integer from 4 to 1048576, ns above 0 and up to 1e15");
  const char* const points[] = {"[0, 5]",     "[-1, 5]",   "[1.5, 5]", "[18446744073709551615, 5]",
                                "[1]",        "[1, 0]",    "[1, -5]",  "[1, 1e300]",
                                "[1, \"5\"]", "[null, 5]", "7",        "[[1, 5]]"};
  for (const char* point : points) {
    const std::string message = error_of(with("[1, 1000]", point));
    CHECK_MESSAGE(message.rfind("costs.json: \"layer_ns[0]\" is ", 0) == 0, message);
  }
  for (const char* curve : {"[]", "{}", "null", "5"}) {
    const std::string message = error_of(with("[[1, 50], [64, 640]]", curve));
    CHECK_MESSAGE(message.rfind("costs.json: \"sample_ns\" is ", 0) == 0, message);
  }
  CHECK(error_of(with("\"attention\": {", "\"attention\": 5, \"x\": {")) ==
        "costs.json: \"attention\" is 5; expected an object");
}

TEST_CASE("deeply nested, very long and overflowing values end as errors too") {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  CHECK(error_of(with("1500", deep)) ==
        "costs.json: JSON nested deeper than 8; expected a cost model (docs/formats.md)");
  CHECK(error_of(with("\"any\"", deep)).find("nested deeper than 8") != std::string::npos);
  CHECK(error_of(with("1500", "1e999")).rfind("costs.json: ", 0) == 0);
  CHECK(error_of(with("1500", "\"" + std::string(5000, 'x') + "\"")).size() < 300);
  std::string many = "[1, 1]";
  for (int i = 2; i < 400; ++i) many += ",[" + std::to_string(i) + ", 1]";
  CHECK(error_of(with("[1, 50], [64, 640]", many)).rfind("costs.json: \"sample_ns\" is ", 0) == 0);
}
