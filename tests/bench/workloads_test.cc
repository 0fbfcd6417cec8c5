#include "bench/workloads.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "bench/texts.h"

namespace prefold {
namespace {

std::string_view common_prefix(std::string_view a, std::string_view b) {
  const auto [end, ignored] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return a.substr(0, static_cast<size_t>(end - a.begin()));
}

std::string_view common_prefix(const std::vector<BenchRequest>& requests) {
  std::string_view prefix = requests.front().prompt;
  for (const BenchRequest& request : requests) prefix = common_prefix(prefix, request.prompt);
  return prefix;
}

// Requests by the group that their number puts them into.
std::map<int, std::vector<BenchRequest>> groups_of(const Workload& workload, int group_size) {
  std::map<int, std::vector<BenchRequest>> groups;
  for (const BenchRequest& request : workload.requests) {
    const int number = std::stoi(request.id.substr(workload.name.size() + 1));
    groups[number / group_size].push_back(request);
  }
  return groups;
}

void check_groups(const Workload& workload, size_t n_groups, int group_size, int64_t prefix_words) {
  const auto groups = groups_of(workload, group_size);
  REQUIRE(groups.size() == n_groups);
  std::set<std::string_view> prefixes;
  for (const auto& [idx, members] : groups) {
    CHECK(std::ssize(members) == group_size);
    const std::string_view prefix = common_prefix(members);
    CHECK(count_words(prefix) >= prefix_words);
    prefixes.insert(prefix);
  }
  CHECK(prefixes.size() == n_groups);
}

bool same(const Workload& a, const Workload& b) {
  return std::equal(a.requests.begin(), a.requests.end(), b.requests.begin(), b.requests.end(),
                    [](const BenchRequest& x, const BenchRequest& y) {
                      return x.id == y.id && x.prompt == y.prompt && x.max_tokens == y.max_tokens;
                    });
}

TEST_CASE("a workload is the same for the same seed and another for another seed") {
  for (const std::string& name : workload_names()) {
    CAPTURE(name);
    CHECK(same(make_workload(name, 5), make_workload(name, 5)));
    CHECK_FALSE(same(make_workload(name, 5), make_workload(name, 6)));
  }
}

TEST_CASE("every request has a name of its own, a prompt and a length; numbers are shuffled") {
  for (const std::string& name : workload_names()) {
    CAPTURE(name);
    const Workload workload = make_workload(name, 1);
    std::set<std::string> ids;
    bool in_order = true;
    for (const BenchRequest& request : workload.requests) {
      in_order = in_order && (ids.empty() || *ids.rbegin() < request.id);
      CHECK(ids.insert(request.id).second);
      CHECK(request.id.substr(0, name.size() + 1) == name + "-");
      CHECK(count_words(request.prompt) > 2);
      CHECK(request.max_tokens > 0);
    }
    CHECK_FALSE(in_order);
  }
}

TEST_CASE("shared8shot: 64 problems after about 1,000 tokens that all share") {
  const Workload workload = make_workload("shared8shot", 1);
  CHECK(workload.requests.size() == 64);
  const int64_t n_words = count_words(common_prefix(workload.requests));
  CHECK(n_words > 450);
  CHECK(n_words < 700);
}

TEST_CASE("groups: 16 articles with 8 questions each") {
  check_groups(make_workload("groups", 1), 16, 8, 240);
}

TEST_CASE("twolevel: 4 articles with 8 questions each, after one instruction") {
  const Workload workload = make_workload("twolevel", 1);
  check_groups(workload, 4, 8, 350);
  CHECK(count_words(common_prefix(workload.requests)) > 150);
}

TEST_CASE("ragged: 100 prompts of very different lengths that share next to nothing") {
  const Workload workload = make_workload("ragged", 1);
  CHECK(workload.requests.size() == 100);
  std::vector<int64_t> lengths;
  std::vector<std::string_view> prompts;
  for (const BenchRequest& request : workload.requests) {
    lengths.push_back(count_words(request.prompt));
    prompts.push_back(request.prompt);
  }
  std::sort(lengths.begin(), lengths.end());
  CHECK(lengths.front() < 10);
  CHECK(lengths[50] < 100);
  CHECK(lengths.back() > 350);
  std::sort(prompts.begin(), prompts.end());
  for (size_t i = 1; i < prompts.size(); ++i) {
    CHECK(count_words(common_prefix(prompts[i - 1], prompts[i])) < 6);
  }
}

TEST_CASE("decode: 32 short prompts with long answers") {
  const Workload workload = make_workload("decode", 1);
  CHECK(workload.requests.size() == 32);
  for (const BenchRequest& request : workload.requests) {
    CHECK(count_words(request.prompt) < 15);
    CHECK(request.max_tokens == 128);
  }
}

TEST_CASE("mixed: most answers are short, some are very long") {
  const Workload workload = make_workload("mixed", 1);
  CHECK(workload.requests.size() == 64);
  std::vector<int32_t> lengths;
  for (const BenchRequest& request : workload.requests) lengths.push_back(request.max_tokens);
  std::sort(lengths.begin(), lengths.end());
  CHECK(lengths.front() >= 12);
  CHECK(lengths[32] < 40);
  CHECK(lengths.back() > 150);
  CHECK(lengths.back() <= 320);
}

TEST_CASE("duplicates: 24 prompts, each 4 times") {
  std::map<std::string, int> copies;
  for (const BenchRequest& request : make_workload("duplicates", 1).requests) {
    ++copies[request.prompt];
  }
  CHECK(copies.size() == 24);
  for (const auto& [prompt, n_copies] : copies) CHECK(n_copies == 4);
}

TEST_CASE("batchllm: 4 groups of 16, prefixes ten times as long as what follows") {
  const Workload workload = make_workload("batchllm", 1);
  check_groups(workload, 4, 16, 450);
  for (const auto& [idx, members] : groups_of(workload, 16)) {
    const int64_t prefix_words = count_words(common_prefix(members));
    for (const BenchRequest& request : members) {
      CHECK(count_words(request.prompt) - prefix_words <= 72);
    }
  }
}

TEST_CASE("an unknown workload is refused with the names of those there are") {
  CHECK_THROWS_WITH_AS(make_workload("nope", 1), doctest::Contains("shared8shot, groups"), Error);
}

TEST_CASE("the texts hold no trace of the files that they come from") {
  const BenchTexts& texts = bench_texts();
  CHECK(texts.problems.size() > 250);
  CHECK(texts.functions.size() == 164);
  CHECK(texts.articles.size() == 48);
  for (const Article& article : texts.articles) {
    CHECK(article.paragraphs.size() == 5);
    CHECK(article.questions.size() >= 8);
    for (const std::string& question : article.questions) CHECK(question.front() != '?');
  }
  for (const Problem& problem : texts.problems) {
    CHECK(problem.answer.find("####") != std::string::npos);
    CHECK(problem.answer.find("%%") == std::string::npos);
  }
}

TEST_CASE("words are what spaces and line ends part") {
  CHECK(count_words("") == 0);
  CHECK(count_words("  one two\n\nthree ") == 3);
  CHECK(first_words("one two\nthree four", 3) == "one two\nthree");
  CHECK(first_words("one two", 9) == "one two");
}

}  // namespace
}  // namespace prefold
