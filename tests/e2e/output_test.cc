// What reaches the output file, when, and what happens when it cannot be written.
#include <chrono>
#include <thread>

#include "base/error.h"
#include "job_fixture.h"

using namespace prefold;

namespace {

std::vector<Json> requests(int n_requests) {
  std::vector<Json> lines;
  for (int i = 0; i < n_requests; ++i) {
    lines.push_back({{"id", i},
                     {"prompt_token_ids", {20 + i % 200, 30 + i % 7}},
                     {"max_tokens", 1 + i * 7 % 30},
                     {"ignore_eos", true},
                     {"temperature", 0}});
  }
  return lines;
}

RunOptions options_in(const JobFolder& folder) {
  RunOptions options;
  options.model = "tests/data/models/tiny_bpe.gguf";
  options.inputs = {folder.file("in.jsonl")};
  options.output = folder.file("out.jsonl");
  options.threads = 1;
  options.max_num_batched_tokens = 8;
  return options;
}

int64_t count_lines(const std::string& path) {
  std::ifstream in(path);
  return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
}

const RunHooks kSilent{[](const Note&) {}, [](const ProgressCounts&) {}};

}  // namespace

TEST_CASE("an answer is in the file soon after it is finished, long before the run ends") {
  const JobFolder folder;
  folder.write_lines("in.jsonl", requests(60));
  const RunOptions options = options_in(folder);
  int64_t n_seen = -1;
  RunHooks hooks = kSilent;
  hooks.progress = [&](const ProgressCounts& counts) {
    if (counts.requests_done < 10 || n_seen >= 0) return;
    // No step runs while this waits, and nothing but the writer's thread can write.
    for (int i = 0; i < 1000 && (n_seen = count_lines(options.output)) < counts.requests_done;
         ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(n_seen == counts.requests_done);
    CHECK(n_seen < 60);
  };
  const RunOutcome outcome = run_job(options, hooks);
  CHECK(n_seen >= 10);
  CHECK(count_lines(options.output) == 60);
  CHECK(outcome.metrics.requests.succeeded == 60);
  CHECK(outcome.metrics.latency.count() == 60);
  CHECK(outcome.metrics.time.engine_wait_percent() > 0);
  CHECK(outcome.metrics.time.engine_wait_percent() < 100);
}

TEST_CASE("--ordered writes input order, error lines in their places") {
  const JobFolder folder;
  std::vector<Json> lines = requests(40);
  lines[0] = {{"id", 0}, {"temperature", 0}};  // no prompt
  lines[17] = {{"id", 17}, {"prompt_token_ids", {-1}}};
  folder.write_lines("in.jsonl", lines);
  RunOptions options = options_in(folder);
  options.ordered = true;
  const RunOutcome outcome = run_job(options, kSilent);
  CHECK(outcome.status == ExitStatus::kSomeFailed);
  std::ifstream in(options.output);
  int n_lines = 0;
  for (std::string line; std::getline(in, line); ++n_lines) {
    CHECK(line.starts_with("{\"id\":" + std::to_string(n_lines) + ","));
    CHECK((line.find("\"error\"") != std::string::npos) == (n_lines == 0 || n_lines == 17));
  }
  CHECK(n_lines == 40);
}

TEST_CASE("a full disk ends the run with an error that names the file") {
  const JobFolder folder;
  folder.write_lines("in.jsonl", requests(60));
  RunOptions options = options_in(folder);
  options.output = "/dev/full";
  int64_t n_done = 0;
  RunHooks hooks = kSilent;
  hooks.progress = [&](const ProgressCounts& counts) {
    n_done = counts.requests_done;
    // The writer needs a moment to fail; the run must then stop, not go on to its end.
    if (n_done > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  CHECK_THROWS_WITH_AS(run_job(options, hooks), "cannot write /dev/full: No space left on device",
                       Error);
  CHECK(n_done < 60);
}
