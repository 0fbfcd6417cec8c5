#include "run/length_prior.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/error.h"
#include "temp_file.h"

using namespace prefold;

namespace {

using Json = nlohmann::ordered_json;

struct Prompts {
  std::vector<std::vector<int32_t>> tokens;
  PromptStore store;
  PrefixTree tree;

  explicit Prompts(std::vector<std::vector<int32_t>> prompts) : tokens(std::move(prompts)) {
    store = PromptStore(tokens);
    tree = build_prefix_tree(store);
  }
};

// Below 1: groups of 8 that begin with 5 and with 6, and one prompt of neither.
Prompts two_groups(int32_t tail) {
  std::vector<std::vector<int32_t>> prompts{{1, 7}};
  for (int32_t i = 0; i < 8; ++i) {
    prompts.push_back({1, 5, 40 + i, tail});
    prompts.push_back({1, 6, 9, 40 + i, tail});
  }
  return Prompts(std::move(prompts));
}

LengthsByGroup sample_lengths() {
  LengthsByGroup lengths;
  lengths.job.add(10, 9, 0);
  lengths.job.add(300, 7, 5);
  lengths.groups.resize(2);
  lengths.groups[0].add(300, 7, 5);
  lengths.groups[1].add(10, 9, 0);
  return lengths;
}

Json sample_report() {
  const Prompts prompts = two_groups(3);
  return {{"schema", "prefold-report/1"},
          {"output_lengths", output_lengths_json(sample_lengths(), prompts.tree, prompts.store)}};
}

std::string error_for(const std::string& text) {
  const TempFile file(text);
  try {
    read_length_prior(file.path());
  } catch (const Error& error) {
    std::string message = error.what();
    const size_t at = message.find(file.path());
    REQUIRE(at != std::string::npos);
    return message.replace(at, file.path().size(), "FILE");
  }
  return "none";
}

}  // namespace

TEST_CASE("lengths come back from a report, for groups that begin alike in another input") {
  const TempFile file(sample_report().dump());
  const LengthPrior prior = read_length_prior(file.path());
  CHECK(prior.groups.size() == 2);
  std::vector<std::vector<int32_t>> swapped = two_groups(4).tokens;
  std::reverse(swapped.begin(), swapped.end());  // the group of 6 comes first now
  const Prompts other(std::move(swapped));
  const LengthsByGroup lengths = prior_of_groups(prior, other.tree, other.store);
  CHECK(lengths.job.buckets().size() == 2);
  REQUIRE(lengths.groups.size() == 2);
  REQUIRE(lengths.groups[0].buckets().size() == 1);
  CHECK(lengths.groups[0].buckets()[0].n_tokens == 10);
  CHECK(lengths.groups[0].buckets()[0].n_stopped == 9);
  REQUIRE(lengths.groups[1].buckets().size() == 1);
  CHECK(lengths.groups[1].buckets()[0].n_tokens == 303);  // 300 to 303 are counted as one
  CHECK(lengths.groups[1].buckets()[0].n_cut_off == 5);

  // The same prompts by an adapter: the prior knows nothing of its groups.
  const std::vector<int32_t> adapters(other.store.size(), 0);
  const PrefixTree adapted = build_prefix_tree(other.store, adapters);
  const std::vector<LoraOption> names{{"a", "path"}};
  for (const LengthDistribution& group :
       prior_of_groups(prior, adapted, other.store, names).groups) {
    CHECK(group.buckets().empty());
  }

  const Prompts unlike({{2, 5}, {2, 6}});
  CHECK(prior_of_groups(prior, unlike.tree, unlike.store).groups.empty());
}

TEST_CASE("an error in a prior names the file, the key, its value and what was wanted") {
  CHECK(error_for("{") == "--length-prior FILE: is no JSON");
  CHECK(error_for("[]") ==
        "--length-prior FILE: \"schema\" is null; expected \"prefold-report/1\"");
  CHECK(error_for(R"({"schema": "prefold-report/9"})") ==
        "--length-prior FILE: \"schema\" is \"prefold-report/9\"; expected \"prefold-report/1\"");
  CHECK(error_for(R"({"schema": "prefold-report/1"})") ==
        "--length-prior FILE: there is no \"output_lengths\"; expected a report of a run");
  const auto with = [](const char* pointer, const Json& value) {
    Json report = sample_report();
    report[Json::json_pointer(pointer)] = value;
    return error_for(report.dump());
  };
  CHECK(with("/output_lengths/stopped/1", -1) ==
        "--length-prior FILE: \"output_lengths.stopped[1]\" is -1; expected an integer from 0 to "
        "1099511627776");
  CHECK(with("/output_lengths/tokens/0", 1.5) ==
        "--length-prior FILE: \"output_lengths.tokens[0]\" is 1.5; expected an integer from 0 to "
        "1048575");
  CHECK(with("/output_lengths/cut_off", {1}) ==
        "--length-prior FILE: \"output_lengths.cut_off\" is [1]; expected an array of 2 numbers");
  CHECK(with("/output_lengths/groups", 3) ==
        "--length-prior FILE: \"output_lengths.groups\" is 3; expected an array");
  CHECK(with("/output_lengths/groups/1/prefix", 3) ==
        "--length-prior FILE: \"output_lengths.groups[1].prefix\" is 3; expected a string");
  CHECK(with("/output_lengths/groups/0", 4) ==
        "--length-prior FILE: \"output_lengths.groups[0]\" is 4; expected an object");
  CHECK_THROWS_WITH_AS(read_length_prior("/nowhere/report.json"),
                       "--length-prior /nowhere/report.json: cannot be read", Error);
}
