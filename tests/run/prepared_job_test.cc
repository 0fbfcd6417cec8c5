#include "run/prepared_job.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <string>

#include "temp_file.h"

using namespace prefold;

namespace {

const char* const kModel = "tests/data/models/tiny_bpe.gguf";

struct Prepared {
  PreparedJob job;
  PrefixTree tree;
  std::vector<LineError> failures;
  int64_t n_lines_told = 0, n_tokens_told = 0;
};

Prepared prepare_with(const ModelFile& model, const std::string& lines,
                      Sharing sharing = Sharing::kTree) {
  const TempFile file(lines);
  RunOptions options;
  options.model = kModel;
  options.sharing = sharing;
  options.threads = 2;
  const RunConfig config = resolve(options, model);
  ThreadPool pool(config.threads);
  const TextModel text = make_text_model(model, 0);
  Prepared prepared;
  const PrepareHooks hooks{
      [&](const LineError& error, int64_t) { prepared.failures.push_back(error); },
      [&](int64_t n_lines, int64_t n_tokens) {
        prepared.n_lines_told = n_lines;
        prepared.n_tokens_told = n_tokens;
      }};
  prepared.job =
      prepare_job(RequestReader({file.path()}, config.defaults), text, config, pool, hooks);
  prepared.tree = build_prefix_tree(prepared.job.prompts);
  if (sharing == Sharing::kTree) find_repeats(prepared.job, prepared.tree);
  return prepared;
}

Prepared prepare(const std::string& lines, Sharing sharing = Sharing::kTree) {
  return prepare_with(open_model(kModel), lines, sharing);
}

std::vector<int32_t> leaders(const PreparedJob& job) {
  std::vector<int32_t> leaders;
  for (int32_t i = 0; i < job.n_requests(); ++i) leaders.push_back(job.leader_of(i));
  return leaders;
}

}  // namespace

TEST_CASE("requests that must get the same answer have one leader, in input order") {
  const std::string lines =
      R"({"id":"0","prompt":"ab cd","temperature":0,"max_tokens":4})"
      "\n"
      R"({"id":"1","prompt":"other","temperature":0,"max_tokens":4})"
      "\n"
      R"({"id":"2","prompt":"ab cd","temperature":0,"max_tokens":5})"
      "\n"
      R"({"id":"3","prompt":"ab cd","temperature":0,"max_tokens":4,"seed":1,"metadata":3})"
      "\n"
      R"({"id":"4","prompt":"ab cd","temperature":1,"max_tokens":4})"
      "\n"
      R"({"id":"5","prompt":"ab cd","temperature":1,"max_tokens":4})"
      "\n"
      R"({"id":"6","prompt":"ab cd","temperature":1,"max_tokens":4,"seed":7})"
      "\n"
      R"({"id":"7","prompt":"ab cd","temperature":1,"max_tokens":4,"seed":8})"
      "\n"
      R"({"id":"8","prompt":"ab cd","temperature":1,"max_tokens":4,"seed":7})"
      "\n"
      R"({"id":"9","prompt":"ab cd","temperature":0,"max_tokens":4})"
      "\n"
      R"({"custom_id":"10","method":"POST","url":"/v1/completions","body":{"prompt":"ab cd",)"
      R"("model":"m","temperature":0,"max_tokens":4}})"
      "\n";
  const Prepared shared = prepare(lines);
  CHECK(shared.failures.empty());
  CHECK(leaders(shared.job) == std::vector<int32_t>{0, 1, 2, 0, 4, 5, 6, 7, 6, 0, 0});
  CHECK(shared.job.next_with_same_answer(0) == 3);
  CHECK(shared.job.next_with_same_answer(3) == 9);
  CHECK(shared.job.next_with_same_answer(9) == 10);
  CHECK(shared.job.next_with_same_answer(10) == SharedAnswer::kNoNext);
  std::vector<int32_t> all(11);
  std::iota(all.begin(), all.end(), 0);
  CHECK(leaders(prepare(lines, Sharing::kNone).job) == all);
}

TEST_CASE("a chat gets no special tokens besides the template's own unless it asks for them") {
  ModelFile model = open_model(kModel);
  REQUIRE(model.tokenizer.eos_id);
  model.tokenizer.bos_id = model.tokenizer.eos_id;
  model.tokenizer.prefix_ids = {*model.tokenizer.bos_id};
  const std::string bos = model.tokenizer.tokens[*model.tokenizer.bos_id];
  model.chat_format.special_tokens = {{"bos_token", bos}};
  model.chat_format.templates = {{"default", "{{ bos_token }}{{ messages[0].content }}"},
                                 {"tool_use", "{{ messages[0].content }}{{ pad_token }}"}};
  const auto ids = [&](const std::string& prompt) {
    const Prepared prepared = prepare_with(model, "{" + prompt + "}\n");
    REQUIRE(prepared.job.prompts.size() == 1);
    const TokenSpan span = prepared.job.prompts[0];
    return std::vector<int32_t>(span.begin(), span.end());
  };
  const std::string chat = R"("messages":[{"role":"user","content":"ab"}])";
  const std::vector<int32_t> plain = ids(R"("prompt":"ab","add_special_tokens":false)");
  const int32_t bos_id = *model.tokenizer.bos_id;
  std::vector<int32_t> once = {bos_id};
  once.insert(once.end(), plain.begin(), plain.end());
  CHECK(ids(R"("prompt":"ab")") == once);
  CHECK(ids(chat) == once);
  CHECK(ids(chat + R"(,"tools":[])") == plain);
  CHECK(ids(chat + R"(,"tools":[],"add_special_tokens":true)") == once);
}

TEST_CASE("what a result line needs is kept") {
  const Prepared prepared = prepare(
      R"({"id":5,"prompt":"ab","echo":true,"metadata":{"a":[1,2.5]},"stop":["x"],"logprobs":2})"
      "\n"
      R"({"custom_id":"c","method":"POST","url":"/v1/completions","body":{"prompt":"ab","model":"m"}})"
      "\n"
      R"({"prompt":"ab","logprobs":2,"stop":"x","echo":true})"
      "\n"
      "no JSON\n"
      R"({"prompt_token_ids":[30,31],"echo":true})"
      "\n");
  REQUIRE(prepared.job.n_requests() == 4);
  CHECK(prepared.failures.size() == 1);
  CHECK(prepared.job.n_lines == 5);
  const Request first = kept_line(prepared.job, 0).request;
  CHECK(first.id == "5");
  CHECK(first.id_is_integer);
  CHECK(first.metadata.dump() == R"({"a":[1,2.5]})");
  CHECK(first.params.stop == std::vector<std::string>{"x"});
  CHECK(kept_line(prepared.job, 0).echoed_text == "ab");
  const Request second = kept_line(prepared.job, 1).request;
  CHECK(second.id == "c");
  CHECK(second.kind == LineKind::kOpenAiCompletion);
  CHECK(second.model == "m");
  CHECK(second.metadata.is_null());
  CHECK(prepared.job.specs[2].parameters == prepared.job.specs[0].parameters);
  CHECK(kept_line(prepared.job, 2).request.id.ends_with(":3"));
  CHECK(prepared.job.line_of[3] == 4);
  CHECK_FALSE(kept_line(prepared.job, 3).echoed_text);  // its text is decoded from the ids
}

TEST_CASE("an id that was used before fails, also where the earlier line had failed") {
  const Prepared prepared = prepare(R"({"id":"a","prompt":""})"
                                    "\n"
                                    R"({"id":"a","prompt":"x"})"
                                    "\n"
                                    R"({"id":"b","prompt_token_ids":[-5]})"
                                    "\n"
                                    R"({"id":"b","prompt_token_ids":[-5]})"
                                    "\n");
  std::vector<std::string> codes;
  for (const LineError& error : prepared.failures) codes.push_back(error.failure.code);
  CHECK(std::ssize(codes) + prepared.job.n_requests() == 4);
  CHECK(std::count(codes.begin(), codes.end(), "duplicate_id") == 2);
}

TEST_CASE("100,000 prompts: everything is found") {
  constexpr int32_t kGroups = 1000, kPrompts = 100'000, kPrefix = 24;
  std::mt19937 random(5);
  std::vector<std::string> prefixes(kGroups);
  std::set<std::string> distinct;  // prefixes of prefixes: the tokens of the tree
  for (std::string& prefix : prefixes) {
    for (int i = 0; i < kPrefix; ++i) {
      prefix += std::to_string(20 + random() % 200) + ",";
      distinct.insert(prefix);
    }
  }
  std::string lines;
  for (int32_t i = 0; i < kPrompts; ++i) {
    // Each ending occurs twice in a group.
    const int32_t ending = i / 2 / kGroups;
    lines += R"({"prompt_token_ids":[)" + prefixes[i / 2 % kGroups] + std::to_string(20 + ending) +
             R"(],"temperature":0,"max_tokens":3})"
             "\n";
  }
  const Prepared prepared = prepare(lines);
  REQUIRE(prepared.job.n_requests() == kPrompts);
  CHECK(prepared.n_lines_told == kPrompts);
  CHECK(prepared.n_tokens_told == int64_t{kPrompts} * (kPrefix + 1));
  CHECK(prepared.job.parameters.size() == 1);
  CHECK(prefix_stats(prepared.tree).n_tree_tokens == std::ssize(distinct) + kPrompts / 2);
  for (int32_t i = 0; i < kPrompts; ++i) {
    REQUIRE(prepared.job.leader_of(i) == i / 2 * 2);
  }
}
