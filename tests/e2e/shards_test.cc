// A job divided, answered shard by shard and merged gives what one run gives, to the bit.
#include <sys/stat.h>
#include <zlib.h>

#include <set>

#include "base/error.h"
#include "io/line_source.h"
#include "report/report.h"
#include "run/divide_job.h"
#include "run/merge_shards.h"
#include "run/shard_manifest.h"
#include "varied_requests.h"

using namespace prefold;

namespace {

namespace fs = std::filesystem;

constexpr const char* kModel = "tests/data/models/tiny_bpe.gguf";
constexpr int32_t kVocabulary = 512;

const DivideHooks kQuiet{[](const std::string&) {}};

RunOptions base_options() {
  RunOptions options;
  options.model = kModel;
  options.device = DeviceChoice::kCpu;
  options.threads = 1;
  options.max_model_len = 512;
  options.cost_model = "tests/data/cost_model.json";
  return options;
}

void run_file(const std::vector<std::string>& inputs, const std::string& output,
              const std::string& report = "") {
  RunOptions options = base_options();
  options.inputs = inputs;
  options.output = output;
  const RunOutcome outcome = run_job(options, {[](const Note&) {}, [](const ProgressCounts&) {}});
  if (report.empty()) return;
  std::ofstream(report) << report_text(make_report(outcome.metrics));
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Two runs start at two times.
std::string without_created(const std::string& line) {
  Json json = Json::parse(line);
  if (json.contains("response") && json["response"]["body"].is_object()) {
    json["response"]["body"].erase("created");
  }
  return json.dump();
}

std::vector<std::string> sorted_results(const std::string& path) {
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(path)) lines.push_back(without_created(line));
  std::sort(lines.begin(), lines.end());
  return lines;
}

// Everything a line can be: two files, the second one compressed, with a byte order mark, CRLF and
// blank lines.
struct MixedJob {
  explicit MixedJob(const JobFolder& folder)
      : inputs{folder.file("a.jsonl"), folder.file("b.jsonl.gz")} {
    std::vector<Json> lines = varied_requests(kVocabulary, 60, 60);
    for (size_t i = 0; i < lines.size(); ++i) {
      if (i % 4 == 0) lines[i].erase("id");
      if (i % 9 == 0 && i > 0) {  // the same request, greedy: answered once
        lines[i]["temperature"] = 0.0;
        Json again = lines[i];
        again["id"] = fmt::format("again{}", i);
        lines.push_back(again);
      }
    }
    std::ofstream a(inputs[0]);
    for (const Json& line : lines) a << line.dump() << "\n";
    a << "no JSON\n"
      << R"({"id":"r1","prompt":"its id stands on an earlier line"})"
      << "\n"
      << R"({"id":"bad","prompt":"x","temperature":-1})"
      << "\n"
      << R"({"custom_id":"long","method":"POST","url":"/v1/completions","body":{"prompt":[)";
    for (int i = 0; i < 600; ++i) a << (i > 0 ? ",30" : "30");
    a << "]}}\n";
    std::string b = "\xef\xbb\xbf";
    for (int i = 0; i < 12; ++i) {
      b += fmt::format(
          R"({{"custom_id":"e{0}","method":"POST","url":"/v1/embeddings","body":{{"input":["shared words {1}","shared text","word{0}"]}}}})",
          i, i % 3);
      b += i % 2 == 0 ? "\r\n\r\n" : "\n";
      b += fmt::format(
          R"({{"custom_id":"c{0}","method":"POST","url":"/v1/completions","body":{{"prompt":"once upon a {1}","max_tokens":5,"n":2,"seed":{0},"metadata":{{"k":[{0}]}}}}}})",
          i, i % 4);
      b += "\n";
    }
    b += R"({"id":"bad","prompt":"the id of a line that failed, in the other file"})"
         "\n";
    b += R"({"prompt":"the last line lacks its end","max_tokens":3})";
    const gzFile gz = gzopen(inputs[1].c_str(), "wb");
    REQUIRE(gzwrite(gz, b.data(), static_cast<unsigned>(b.size())) == static_cast<int>(b.size()));
    gzclose(gz);
  }

  std::vector<std::string> inputs;
};

DividedJob divide(const std::vector<std::string>& inputs, int32_t n_shards,
                  const std::string& folder) {
  RunOptions options = base_options();
  options.inputs = inputs;
  return divide_job(options, {n_shards}, folder, kQuiet);
}

void run_shards(const std::string& folder, int32_t n_shards) {
  for (int32_t s = 0; s < n_shards; ++s) {
    run_file({shard_path(folder, s)}, shard_results_path(folder, s), shard_report_path(folder, s));
  }
}

MergeOutcome merge(const std::string& folder, const std::string& output, bool ordered = false,
                   const std::string& report = "") {
  MergeOptions options;
  options.folder = folder;
  options.output = output;
  options.ordered = ordered;
  options.report = report;
  options.overwrite = true;
  return merge_shards(options, [](const std::string&) {});
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("merged results are those of the undivided run, whatever the number of shards") {
  const JobFolder folder;
  const MixedJob job(folder);
  run_file(job.inputs, folder.file("whole.jsonl"), folder.file("whole.json"));
  const std::vector<std::string> whole = sorted_results(folder.file("whole.jsonl"));
  const Json whole_report = Json::parse(std::ifstream(folder.file("whole.json")));
  REQUIRE(whole_report["requests"]["failed"] == 5);
  for (const int32_t n_shards : {1, 2, 3, 7, 120}) {
    CAPTURE(n_shards);
    const std::string dir = folder.file(fmt::format("shards{}", n_shards));
    const DividedJob divided = divide(job.inputs, n_shards, dir);
    CHECK(divided.n_failed == 5);
    run_shards(dir, n_shards);
    const MergeOutcome outcome =
        merge(dir, folder.file("merged.jsonl"), false, folder.file("merged.json"));
    CHECK(outcome.status == ExitStatus::kSomeFailed);
    CHECK(outcome.n_failed == 5);
    CHECK(outcome.n_lines == std::ssize(whole));
    CHECK(sorted_results(folder.file("merged.jsonl")) == whole);

    const Json report = Json::parse(std::ifstream(folder.file("merged.json")));
    CHECK(report["requests"]["total"] == whole_report["requests"]["total"]);
    CHECK(report["requests"]["failed"] == 5);
    CHECK(report["tokens"]["prompt"] == whole_report["tokens"]["prompt"]);
    CHECK(report["tokens"]["output"] == whole_report["tokens"]["output"]);
    CHECK(report["options"]["seed"] == 0);
    // What the cuts cost is what was foretold.
    int64_t n_again = 0;
    for (const ShardEntry& shard : divided.divisions.front().shards) n_again += shard.n_again;
    CHECK(report["tokens"]["prefill_computed"] ==
          whole_report["tokens"]["prefill_computed"].get<int64_t>() + n_again);
    CHECK((n_again == 0) == (n_shards == 1));
  }
}

TEST_CASE("merged in input order") {
  const JobFolder folder;
  const MixedJob job(folder);
  RunOptions options = base_options();
  options.inputs = job.inputs;
  options.output = folder.file("whole.jsonl");
  options.ordered = true;
  run_job(options, {[](const Note&) {}, [](const ProgressCounts&) {}});
  divide(job.inputs, 5, folder.file("shards"));
  run_shards(folder.file("shards"), 5);
  merge(folder.file("shards"), folder.file("merged.jsonl"), true);
  std::vector<std::string> whole, merged;
  for (const std::string& line : lines_of(options.output)) whole.push_back(without_created(line));
  for (const std::string& line : lines_of(folder.file("merged.jsonl"))) {
    merged.push_back(without_created(line));
  }
  CHECK(merged == whole);
}

TEST_CASE("a shard can be divided again") {
  const JobFolder folder;
  const MixedJob job(folder);
  run_file(job.inputs, folder.file("whole.jsonl"));
  divide(job.inputs, 2, folder.file("two"));
  for (int32_t s = 0; s < 2; ++s) {
    const std::string dir = folder.file(fmt::format("of{}", s));
    divide({shard_path(folder.file("two"), s)}, 3, dir);
    run_shards(dir, 3);
    merge(dir, shard_results_path(folder.file("two"), s));
  }
  merge(folder.file("two"), folder.file("merged.jsonl"));
  CHECK(sorted_results(folder.file("merged.jsonl")) == sorted_results(folder.file("whole.jsonl")));
}

TEST_CASE("every line is in one shard, as it was") {
  const JobFolder folder;
  const MixedJob job(folder);
  const std::string dir = folder.file("shards");
  divide(job.inputs, 4, dir);
  std::multiset<std::string> original, divided;
  const auto add = [](const std::vector<std::string>& paths, std::multiset<std::string>& to) {
    LineSource lines(paths);
    InputLine line;
    while (lines.next(line)) {
      to.insert(fmt::format("{}:{} {}", line.source.file, line.source.line, line.text));
    }
  };
  add(job.inputs, original);
  for (int32_t s = 0; s < 4; ++s) add({shard_path(dir, s)}, divided);
  CHECK(divided == original);
}

TEST_CASE("an empty job has empty shards and an empty result") {
  const JobFolder folder;
  std::ofstream(folder.file("in.jsonl")) << "\n";
  divide({folder.file("in.jsonl")}, 3, folder.file("shards"));
  run_shards(folder.file("shards"), 3);
  CHECK(merge(folder.file("shards"), folder.file("out.jsonl")).status == ExitStatus::kAllAnswered);
  CHECK(fs::file_size(folder.file("out.jsonl")) == 0);
}

TEST_CASE("a folder keeps its split") {
  const JobFolder folder;
  folder.write_lines("in.jsonl", varied_requests(kVocabulary, 10, 20));
  const std::vector<std::string> inputs{folder.file("in.jsonl")};
  const std::string dir = folder.file("shards");
  CHECK_FALSE(divide(inputs, 2, dir).was_there);
  CHECK(divide(inputs, 2, dir).was_there);
  CHECK(contains(message_of([&] { divide(inputs, 3, dir); }), "shards: 2 there, 3 now"));
  RunOptions options = base_options();
  options.inputs = inputs;
  options.defaults.temperature = 0.0f;
  CHECK(contains(message_of([&] { divide_job(options, {2}, dir, kQuiet); }), "temperature: null"));

  // A split that was killed before its manifest: done again. With results there it is not.
  fs::remove(manifest_path(dir));
  std::ofstream(shard_path(dir, 7)) << "left over\n";
  CHECK_FALSE(divide(inputs, 2, dir).was_there);
  CHECK_FALSE(fs::exists(shard_path(dir, 7)));
  fs::remove(manifest_path(dir));
  std::ofstream(shard_results_path(dir, 0)) << "";
  CHECK(contains(message_of([&] { divide(inputs, 2, dir); }), "results of another split"));
  fs::remove(shard_results_path(dir, 0));

  divide(inputs, 2, dir);
  std::ofstream(shard_path(dir, 0), std::ios::app) << "more\n";
  CHECK(contains(message_of([&] { divide(inputs, 2, dir); }), "bytes;"));
  folder.write_lines("in.jsonl", varied_requests(kVocabulary, 11, 20));
  CHECK(contains(message_of([&] { divide(inputs, 2, dir); }), "the content of"));
}

TEST_CASE("what cannot be divided is refused") {
  const JobFolder folder;
  folder.write_lines("in.jsonl", varied_requests(kVocabulary, 3, 20));
  const std::string in = folder.file("in.jsonl");
  const std::string dir = folder.file("shards");
  CHECK(contains(message_of([&] { divide({"-"}, 2, dir); }), "standard input"));
  REQUIRE(mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  CHECK(contains(message_of([&] { divide({folder.file("pipe")}, 2, dir); }), "has to be a file"));
  CHECK(contains(message_of([&] { divide({in, in}, 2, dir); }), "given twice"));
  CHECK(contains(message_of([&] { divide({in}, 2, in); }), "cannot use"));
}

TEST_CASE("a merge says what is missing, and takes nothing that is not its own") {
  const JobFolder folder;
  std::vector<Json> requests = varied_requests(kVocabulary, 20, 20);
  folder.write_lines("in.jsonl", requests);
  const std::string dir = folder.file("shards");
  const std::string out = folder.file("out.jsonl");
  CHECK(contains(message_of([&] { merge(dir, out); }), "manifest.json is not there"));
  divide({folder.file("in.jsonl")}, 2, dir);
  run_file({shard_path(dir, 0)}, shard_results_path(dir, 0));
  MergeOutcome outcome = merge(dir, out);
  CHECK(outcome.status == ExitStatus::kStopped);
  REQUIRE(outcome.unfinished.size() == 1);
  CHECK(outcome.unfinished[0].shard == 1);
  CHECK(outcome.unfinished[0].n_missing == outcome.unfinished[0].n_lines);
  CHECK(outcome.unfinished[0].first_ids.size() == 3);
  CHECK_FALSE(fs::exists(out));

  run_file({shard_path(dir, 1)}, shard_results_path(dir, 1));
  const std::string results = shard_results_path(dir, 1);
  const std::vector<std::string> lines = lines_of(results);
  const auto write = [&](const std::string& text) { std::ofstream(results) << text; };
  std::string whole;
  for (const std::string& line : lines) whole += line + "\n";
  write(whole.substr(0, whole.size() - 5));  // the last line is torn
  outcome = merge(dir, out);
  REQUIRE(outcome.unfinished.size() == 1);
  CHECK(outcome.unfinished[0].n_missing == 1);
  CHECK(outcome.unfinished[0].first_ids ==
        std::vector<std::string>{Json::parse(lines.back())["id"].get<std::string>()});
  write(whole + lines[0] + "\n");
  CHECK(contains(message_of([&] { merge(dir, out); }), "stands there twice"));
  write(whole + R"({"id":"nobody","text":""})" + "\n");
  CHECK(contains(message_of([&] { merge(dir, out); }), "\"nobody\" is of no line of the shard"));
  write("garbage\n" + whole);
  CHECK(contains(message_of([&] { merge(dir, out); }), ":1: is no result line"));
  write(whole);
  CHECK(merge(dir, out).status == ExitStatus::kAllAnswered);
  MergeOptions again;
  again.folder = dir;
  again.output = out;
  CHECK(contains(message_of([&] { merge_shards(again, [](const std::string&) {}); }),
                 "is not empty"));
  std::ofstream(shard_path(dir, 1), std::ios::app) << "more\n";
  CHECK(contains(message_of([&] { merge(dir, out); }), "is not as it was written"));
}
