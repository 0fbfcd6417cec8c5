#include "run/journal.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "temp_folder.h"

using namespace prefold;

namespace {

Journal some_journal() {
  Journal journal;
  journal.created_unix_s = 1764131574;
  journal.inputs = {{"a.jsonl", {12, "siphash128:00"}}, {"b.jsonl", {0, "siphash128:01"}}};
  journal.model_digest = "siphash128-sampled:aa";
  journal.answers = {{"seed", 7}, {"temperature", 0.7f}, {"max_model_len", nullptr}};
  journal.ordered = true;
  journal.max_model_len = 2048;
  journal.kv_blocks = 100;
  journal.n_lines = 17;
  return journal;
}

}  // namespace

TEST_CASE("a journal is read back as it was written") {
  const TempFolder folder;
  const std::string path = journal_path(folder.path() + "/out.jsonl");
  CHECK_FALSE(read_journal(path).has_value());
  write_journal(path, some_journal());
  const std::optional<Journal> back = read_journal(path);
  REQUIRE(back);
  CHECK(back->created_unix_s == 1764131574);
  CHECK(back->inputs.size() == 2);
  CHECK(back->inputs[0].digest == FileDigest{12, "siphash128:00"});
  CHECK(back->ordered);
  CHECK(back->max_model_len == 2048);
  CHECK(back->kv_blocks == 100);
  CHECK(back->n_lines == 17);
  CHECK(differences(*back, some_journal()).empty());

  Journal unread = some_journal();
  unread.n_lines.reset();
  write_journal(path, unread);
  CHECK_FALSE(read_journal(path)->n_lines.has_value());
}

TEST_CASE("every difference is named, with what was and what is") {
  Journal now = some_journal();
  now.inputs[1].path = "c.jsonl";
  now.model_digest = "siphash128-sampled:bb";
  now.answers["seed"] = 8;
  now.answers["adapter"] = "x";
  now.ordered = false;
  now.max_model_len = 5;  // by memory
  now.kv_blocks = 5;
  CHECK(differences(some_journal(), now) ==
        std::vector<std::string>{
            R"(input was ["a.jsonl","b.jsonl"], is ["a.jsonl","c.jsonl"])",
            "the model's digest was siphash128-sampled:aa, is siphash128-sampled:bb",
            "seed was 7, is 8", R"(adapter was unknown, is "x")", "ordered was true, is false"});
}

TEST_CASE("a file that is no journal is an error that names it and what was wanted") {
  const TempFolder folder;
  const std::string path = folder.path() + "/out.journal";
  const auto error_of = [&](const std::string& text) -> std::string {
    std::ofstream(path) << text;
    try {
      read_journal(path);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  };
  CHECK(error_of("") == path + ": \"schema\" is none; expected \"prefold-journal/1\"");
  CHECK(error_of("{\"schema\": \"prefold-journal/2\"}") ==
        path + ": \"schema\" is \"prefold-journal/2\"; expected \"prefold-journal/1\"");
  CHECK(error_of("{\"schema\": \"prefold-journal/1\"}") ==
        path + ": \"created\" is missing; expected a journal that prefold run wrote");
  CHECK(error_of("{\"schema\": \"prefold-journal/1\", \"created\": \"today\"}") ==
        path + ": \"created\" is \"today\"; expected a journal that prefold run wrote");
}
