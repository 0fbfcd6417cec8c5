// The vocabulary of SmolLM2-135M-Instruct, read from the model file that PREFOLD_TEST_MODEL names,
// against Hugging Face tokenizers.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/model_file.h"
#include "tokenizer/tokenizer.h"

using namespace prefold;
using Ids = std::vector<int32_t>;

namespace {

nlohmann::json read_json(const std::string& path) {
  return nlohmann::json::parse(std::ifstream(path));
}

}  // namespace

TEST_CASE("SmolLM2's ids equal those of Hugging Face tokenizers" *
          doctest::skip(std::getenv("PREFOLD_TEST_MODEL") == nullptr)) {
  const Tokenizer tokenizer(open_model(std::getenv("PREFOLD_TEST_MODEL")).tokenizer);
  const std::vector<std::string> corpus = read_json("tests/data/tokenizer/corpus.json");
  const nlohmann::json expected = read_json("tests/data/tokenizer/smollm2_ids.json");
  const nlohmann::json& without_control = expected.at("ids_without_control");
  REQUIRE(expected.at("ids").size() == corpus.size());
  for (size_t i = 0; i < corpus.size(); ++i) {
    CAPTURE(corpus[i]);
    const Ids parsed = expected.at("ids")[i];
    const auto differing = without_control.find(std::to_string(i));
    const Ids plain = differing == without_control.end() ? parsed : differing->get<Ids>();
    CHECK(tokenizer.encode(corpus[i], false, true) == parsed);
    CHECK(tokenizer.encode(corpus[i], false, false) == plain);
  }
}
