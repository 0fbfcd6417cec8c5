#include "model/generation_config.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace prefold {
namespace {

GenerationConfig read(const std::string& generation, const std::string& config = "{}") {
  const auto of_generation = parse_json_object("g", generation);
  const auto of_config = parse_json_object("c", config);
  return read_generation_config(JsonObject("g", "", of_generation), JsonObject("c", "", of_config),
                                100);
}

TEST_CASE("stop tokens: one or several, of config.json where generation_config.json has none") {
  CHECK(read("{}").stop_ids.empty());
  CHECK(read(R"({"eos_token_id":7})", R"({"eos_token_id":1})").stop_ids == std::vector<int32_t>{7});
  CHECK(read(R"({"eos_token_id":[7,9,7]})").stop_ids == std::vector<int32_t>{7, 9});
  CHECK(read("{}", R"({"eos_token_id":[1,2]})").stop_ids == std::vector<int32_t>{1, 2});
  CHECK_THROWS_WITH_AS(read(R"({"eos_token_id":100})"),
                       "g: \"eos_token_id\" is 100; wanted an integer from 0 to 99", FormatError);
  CHECK_THROWS_AS(read(R"({"eos_token_id":[1.5]})"), FormatError);
  CHECK_THROWS_AS(read(R"({"eos_token_id":"</s>"})"), FormatError);
}

TEST_CASE("sampling: what the file says, and greedy where it says so") {
  const GenerationConfig none = read("{}");
  CHECK_FALSE(none.temperature);
  CHECK_FALSE(none.top_k);
  const GenerationConfig all = read(R"({"do_sample":true,"temperature":0.6,"top_p":0.95,"top_k":20,
      "min_p":0.1,"repetition_penalty":1.05,"transformers_version":"4.51.0"})");
  CHECK(all.temperature == 0.6f);
  CHECK(all.top_p == 0.95f);
  CHECK(all.top_k == 20);
  CHECK(all.min_p == 0.1f);
  CHECK(all.repetition_penalty == 1.05f);
  CHECK(read(R"({"do_sample":false,"temperature":0.6})").temperature == 0.0f);
  CHECK_THROWS_AS(read(R"({"temperature":-1})"), FormatError);
  CHECK_THROWS_AS(read(R"({"top_p":2})"), FormatError);
}

}  // namespace
}  // namespace prefold
