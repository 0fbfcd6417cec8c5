// Jobs that are continued: whatever is left of the output, the lines in the end are those of a run
// that was never interrupted, and nothing that was there is computed again.
#include <csignal>
#include <regex>
#include <sstream>

#include "base/error.h"
#include "job_fixture.h"
#include "run/journal.h"

using namespace prefold;

namespace {

const RunHooks kSilent{[](const Note&) {}, [](const ProgressCounts&) {}};

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Lines of every kind: with and without ids, several choices, embeddings, errors, repeated ids.
std::vector<Json> mixed_lines(int n) {
  std::vector<Json> lines;
  for (int i = 0; i < n; ++i) {
    Json line = {
        {"id", i}, {"prompt_token_ids", {20 + i % 50, 30 + i % 7}}, {"max_tokens", 1 + i % 9}};
    if (i % 3 == 0) line["id"] = "q" + std::to_string(i);
    if (i % 4 == 1) line.erase("id");
    if (i % 5 == 2) line["n"] = 3;
    if (i % 7 == 3) line["temperature"] = 0;
    if (i % 11 == 4) line.erase("prompt_token_ids");
    if (i % 13 == 5) line["id"] = i % 2 == 0 ? Json(std::to_string(i - 3)) : Json(i - 3);
    if (i % 10 == 6) {
      line = {{"custom_id", "c" + std::to_string(i)},
              {"method", "POST"},
              {"url", "/v1/embeddings"},
              {"body", {{"input", {"one", "two"}}}}};
    }
    if (i % 10 == 8) {
      line = {{"custom_id", "c" + std::to_string(i)},
              {"method", "POST"},
              {"url", "/v1/completions"},
              {"body", {{"prompt", "Hello"}, {"max_tokens", 3}}}};
    }
    lines.push_back(line);
  }
  return lines;
}

struct ResumeFixture {
  JobFolder folder;
  RunOptions options;
  std::string whole;                 // the output of a run that was not interrupted
  std::string journal;               // and its journal
  std::vector<std::string> answers;  // sorted, without `created`

  explicit ResumeFixture(bool ordered = false, int n_lines = 60) {
    folder.write_lines("in.jsonl", mixed_lines(n_lines));
    options.model = "tests/data/models/tiny_bpe.gguf";
    options.cost_model = "tests/data/cost_model.json";
    options.inputs = {folder.file("in.jsonl")};
    options.output = folder.file("out.jsonl");
    options.threads = 1;
    options.max_num_batched_tokens = 16;
    options.ordered = ordered;
    run_job(options, kSilent);
    whole = read_text(options.output);
    journal = read_text(journal_path(options.output));
    answers = lines_of(whole);
    options.resume = true;
  }

  // As an earlier run may have left them.
  void leave(const std::string& output, const std::string& journal_text) const {
    write_text(options.output, output);
    write_text(journal_path(options.output), journal_text);
  }

  static std::vector<std::string> lines_of(const std::string& text, bool sorted = true) {
    const std::string comparable =
        std::regex_replace(text, std::regex("\"created\":[0-9]+"), "\"created\":0");
    std::vector<std::string> lines;
    std::istringstream in(comparable);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    if (sorted) std::sort(lines.begin(), lines.end());
    return lines;
  }
  std::vector<std::string> lines() const { return lines_of(read_text(options.output)); }
};

std::string error_of(const RunOptions& options) {
  try {
    run_job(options, kSilent);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

int64_t count_lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

}  // namespace

TEST_CASE("wherever the output ends, the rest is computed and nothing else") {
  const ResumeFixture f;
  const int64_t n_failed_in_all = run_job(f.options, kSilent).metrics.requests.failed;
  CHECK(n_failed_in_all >= 5);
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    const size_t cut = random() % f.whole.size();
    const std::string kept = f.whole.substr(0, cut);
    std::string torn;
    if (round % 3 == 1) torn = std::string(random() % 5000, '\0');
    f.leave(kept + torn, f.journal);
    const RunOutcome outcome = run_job(f.options, kSilent);
    CHECK(f.lines() == f.answers);
    const RequestCounts& counts = outcome.metrics.requests;
    // A last line that lacks nothing but its end is whole.
    const bool only_end_lacks = torn.empty() && f.whole[cut] == '\n';
    CHECK(counts.kept() == count_lines(kept) + only_end_lacks);
    CHECK(counts.total == 60);
    CHECK(counts.failed == n_failed_in_all);
    CHECK(counts.left() == 0);
    CHECK(outcome.status == ExitStatus::kSomeFailed);
  }
}

TEST_CASE("created is that of the job's start") {
  const ResumeFixture f;
  Json journal = Json::parse(f.journal);
  journal["created"] = 1234567890;
  f.leave(f.whole.substr(0, f.whole.find('\n') + 1), journal.dump());
  run_job(f.options, kSilent);
  CHECK(read_text(f.options.output).find("\"created\":1234567890") != std::string::npos);
}

TEST_CASE("a complete job is recognised, without reading its lines, by the results file") {
  const ResumeFixture f;
  const RunOutcome outcome = run_job(f.options, kSilent);
  CHECK(outcome.nothing_to_do);
  CHECK(outcome.status == ExitStatus::kSomeFailed);
  CHECK(read_text(f.options.output) == f.whole);
  CHECK(read_text(journal_path(f.options.output)) == f.journal);
}

TEST_CASE("where nothing was begun, --resume begins") {
  const ResumeFixture f;
  const std::string journal_file = journal_path(f.options.output);
  const auto starts = [&] {
    const RunOutcome outcome = run_job(f.options, kSilent);
    CHECK(f.lines() == f.answers);
    CHECK(outcome.metrics.requests.kept() == 0);
  };
  std::filesystem::remove(f.options.output);
  std::filesystem::remove(journal_file);
  starts();
  std::filesystem::remove(f.options.output);  // with a journal, of another job even
  Json other = Json::parse(f.journal);
  other["model"] = "another";
  write_text(journal_file, other.dump());
  starts();
  f.leave("{\"id\":", f.journal);  // not one whole line
  starts();
  // Killed while reading: nothing but error lines.
  Json reading = Json::parse(f.journal);
  reading["lines"] = nullptr;
  const std::string error = R"({"id":"x","error":{"code":"invalid_json","message":""}})";
  f.leave(error + "\n", reading.dump());
  starts();
}

TEST_CASE("another job is refused, with what differs, and nothing is changed") {
  const ResumeFixture f;
  const std::string half = f.whole.substr(0, f.whole.size() / 2);
  const auto refuses = [&](const RunOptions& options, const std::string& what) {
    const std::string error = error_of(options);
    INFO(error);
    CHECK(error.find(what) != std::string::npos);
    CHECK(read_text(options.output) == half);
    CHECK(read_text(journal_path(options.output)) == f.journal);
  };
  f.leave(half, f.journal);
  RunOptions options = f.options;
  options.seed = 5;
  options.defaults.temperature = 0.5f;
  refuses(options, "temperature was 1.0, is 0.5");
  refuses(options, "seed was 0, is 5");
  options = f.options;
  options.precision = Precision::kFast;
  refuses(options, "precision was \"exact\", is \"fast\"");
  options = f.options;
  options.max_model_len = 100;
  refuses(options, "max_model_len was null, is 100");
  options = f.options;
  options.ordered = true;
  refuses(options, "ordered was false, is true");
  options = f.options;
  options.model = "tests/data/models/tiny_spm.gguf";
  refuses(options, "the model's digest was ");
  options = f.options;
  options.inputs.push_back(f.folder.file("in.jsonl"));
  refuses(options, "input was ");
  const std::string input = read_text(f.options.inputs[0]);
  write_text(f.options.inputs[0], input + "{}\n");
  refuses(f.options, "has changed since the job was begun");
  write_text(f.options.inputs[0], input);
  std::filesystem::remove(journal_path(f.options.output));
  CHECK(error_of(f.options).find("there is no " + journal_path(f.options.output)) !=
        std::string::npos);
  CHECK(read_text(f.options.output) == half);
}

TEST_CASE("budgets, memory, sharing and order may change") {
  const ResumeFixture f;
  f.leave(f.whole.substr(0, f.whole.size() / 2), f.journal);
  RunOptions options = f.options;
  options.max_num_batched_tokens = 64;
  options.kv_memory_bytes = int64_t{64} << 20;
  options.threads = 2;
  options.order = Order::kFile;
  options.sharing = Sharing::kNone;
  run_job(options, kSilent);
  CHECK(f.lines() == f.answers);
}

TEST_CASE("what a line may need goes by the run that began the job") {
  JobFolder folder;
  folder.write_lines("in.jsonl", {{{"id", 1}, {"prompt", "Hello"}, {"max_tokens", 2}},
                                  {{"id", 2}, {"prompt", "Hello"}, {"max_tokens", 200}}});
  RunOptions options;
  options.model = "tests/data/models/tiny_bpe.gguf";
  options.cost_model = "tests/data/cost_model.json";
  options.inputs = {folder.file("in.jsonl")};
  options.output = folder.file("out.jsonl");
  options.threads = 1;
  options.max_model_len = 300;
  options.max_requests = 1;
  CHECK(run_job(options, kSilent).status == ExitStatus::kStopped);
  options.resume = true;
  options.kv_memory_bytes = 100'000;  // not enough for the second line, which was not refused
  const std::string error = error_of(options);
  INFO(error);
  CHECK(error.find("needs ") != std::string::npos);
  CHECK(error.find("(--kv-memory)") != std::string::npos);
  options.kv_memory_bytes.reset();
  CHECK(run_job(options, kSilent).status == ExitStatus::kAllAnswered);
}

TEST_CASE("--ordered: lines that wait are kept beside the output, wherever it ends") {
  const ResumeFixture f(true);
  const std::string waiting_file = waiting_path(f.options.output);
  const std::vector<std::string> in_order = ResumeFixture::lines_of(f.whole, false);
  const std::vector<std::string> original = [&] {
    std::vector<std::string> lines;
    std::istringstream in(f.whole);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }();
  CHECK_FALSE(std::filesystem::exists(waiting_file));
  std::mt19937 random(9);
  for (int round = 0; round < 30; ++round) {
    const size_t n_written = random() % original.size();
    std::string output, waiting;
    int64_t n_kept = static_cast<int64_t>(n_written);
    for (size_t i = 0; i < original.size(); ++i) {
      if (i < n_written) output += original[i] + "\n";
      if (random() % 3 > 0) continue;
      waiting += std::to_string(i) + "\t" + original[i] + "\n";  // written ones may still be there
      n_kept += i >= n_written;
    }
    f.leave(output + (round % 2 == 0 ? "{\"id\":" : ""), f.journal);
    write_text(waiting_file, waiting + (round % 3 == 0 ? "59\t{\"i" : ""));
    const RunOutcome outcome = run_job(f.options, kSilent);
    CHECK(ResumeFixture::lines_of(read_text(f.options.output), false) == in_order);
    CHECK(outcome.metrics.requests.kept() == n_kept);
    CHECK_FALSE(std::filesystem::exists(waiting_file));
  }
  // Lines that are not the first ones are not taken for them.
  f.leave(original[0] + "\n" + original[5] + "\n", f.journal);
  CHECK(error_of(f.options).find("does not hold the results of the first 2 lines") !=
        std::string::npos);
}

TEST_CASE("--max-requests answers so many, and the job is whole after as many runs as it takes") {
  ResumeFixture f;
  std::filesystem::remove(f.options.output);
  f.options.max_requests = 10;
  int64_t n_before = 0;
  int n_runs = 0;
  while (true) {
    const RunOutcome outcome = run_job(f.options, kSilent);
    const int64_t n_now = outcome.metrics.requests.succeeded;
    CHECK(n_now - n_before <= 10);
    ++n_runs;
    if (outcome.status != ExitStatus::kStopped) break;
    CHECK(n_now - n_before == 10);
    CHECK(outcome.metrics.stop.reason == "max_requests");
    CHECK(outcome.can_be_resumed);
    CHECK(count_lines(read_text(f.options.output)) ==
          outcome.metrics.requests.succeeded + outcome.metrics.requests.failed);
    n_before = n_now;
    REQUIRE(n_runs < 20);
  }
  CHECK(n_runs > 2);
  CHECK(f.lines() == f.answers);
}

TEST_CASE("a run that is told to stop writes what was finished, and can be resumed") {
  ResumeFixture f;
  for (const bool abandon : {false, true}) {
    for (const int64_t n_before : {0, 3, 20, 45}) {
      std::filesystem::remove(f.options.output);
      StopControl stop;
      RunHooks hooks = kSilent;
      hooks.stop = &stop;
      hooks.progress = [&](const ProgressCounts& counts) {
        if (counts.requests_done < n_before) return;
        stop.stop(StopReason::kSignal, SIGTERM);
        if (abandon) stop.abandon();
      };
      const RunOutcome outcome = run_job(f.options, hooks);
      CHECK(outcome.status == ExitStatus::kStopped);
      CHECK(outcome.metrics.stop.reason == "signal");
      CHECK(outcome.metrics.stop.detail == "SIGTERM");
      const RequestCounts& counts = outcome.metrics.requests;
      CHECK(counts.left() > 0);
      CHECK(stop.all_written());
      CHECK(count_lines(read_text(f.options.output)) == counts.succeeded + counts.failed);
      const RunOutcome rest = run_job(f.options, kSilent);
      CHECK(rest.metrics.requests.kept() == counts.succeeded + counts.failed);
      CHECK(f.lines() == f.answers);
    }
  }
}

TEST_CASE("a run that is stopped while it reads leaves what there was") {
  ResumeFixture f;
  RunOptions options = f.options;
  options.resume = false;
  options.overwrite = true;
  StopControl stop;
  RunHooks hooks = kSilent;
  hooks.stop = &stop;
  hooks.reading = [&](const ReadingCounts&) { stop.stop(StopReason::kTimeLimit); };
  const RunOutcome outcome = run_job(options, hooks);
  CHECK(outcome.status == ExitStatus::kStopped);
  CHECK(outcome.metrics.stop.reason == "time_limit");
  CHECK(read_text(options.output) == f.whole);
  CHECK(read_text(journal_path(options.output)) == f.journal);
}

TEST_CASE("an error ends a run with its report, and what was written is kept") {
  ResumeFixture f;
  std::filesystem::remove(f.options.output);
  RunHooks hooks = kSilent;
  RunMetrics at_the_end;
  hooks.failed = [&](const RunMetrics& metrics) { at_the_end = metrics; };
  hooks.progress = [&](const ProgressCounts& counts) {
    if (counts.requests_done > 20) std::filesystem::resize_file(f.options.output, 0);
  };
  CHECK_THROWS_AS(run_job(f.options, hooks), Error);
  CHECK(at_the_end.stop.reason == "error");
  CHECK(at_the_end.stop.detail.find("was changed while this run was writing it") !=
        std::string::npos);
  run_job(f.options, kSilent);
  CHECK(f.lines() == f.answers);
}

TEST_CASE("what cannot be resumed is said at once") {
  const ResumeFixture f;
  RunOptions options = f.options;
  options.model = "no such model";  // never looked at
  options.inputs = {"-"};
  CHECK(error_of(options).find("standard input (-i -) is no regular file") != std::string::npos);
  options = f.options;
  options.output = "-";
  CHECK(error_of(options).find("standard output (-o -) cannot be resumed") != std::string::npos);
  options = f.options;
  options.overwrite = true;
  CHECK(error_of(options).find("give one of them") != std::string::npos);
  options = f.options;
  options.inputs = {"/dev/null"};
  CHECK(error_of(options).find("/dev/null is no regular file") != std::string::npos);
}
