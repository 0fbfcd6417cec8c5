// A job of short lines of every kind on a tiny model, its answers when nothing goes wrong, and what
// must hold of its files whatever goes wrong.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "process.h"
#include "temp_folder.h"

namespace prefold {

using Lines = std::vector<std::string>;

inline Lines whole_lines(const std::string& text) {
  static const std::regex created("\"created\":[0-9]+");
  Lines lines;
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    lines.push_back(std::regex_replace(text.substr(begin, end - begin), created, "\"created\":0"));
    begin = end + 1;
  }
  return lines;
}

inline Lines sorted(Lines lines) {
  std::sort(lines.begin(), lines.end());
  return lines;
}

// With and without ids, several choices, error lines, ids that were there before.
inline std::string fault_input(int n_lines, int max_tokens) {
  std::string text;
  for (int i = 0; i < n_lines; ++i) {
    nlohmann::ordered_json line = {{"id", i},
                                   {"prompt_token_ids", {20 + i % 40, 30 + i % 7, 40 + i % 90}},
                                   {"max_tokens", 1 + i * 7 % max_tokens},
                                   {"ignore_eos", true}};
    if (i % 3 == 0) line["id"] = "q" + std::to_string(i);
    if (i % 4 == 1) line.erase("id");
    if (i % 5 == 2) line["n"] = 2;
    if (i % 6 == 3) line["temperature"] = 0;
    if (i % 10 == 4) line.erase("prompt_token_ids");
    if (i % 25 == 6) line["id"] = 5;
    if (i % 8 == 7) {
      line = {{"custom_id", "c" + std::to_string(i)},
              {"method", "POST"},
              {"url", i % 16 == 7 ? "/v1/embeddings" : "/v1/completions"},
              {"body", nlohmann::ordered_json::object()}};
      if (i % 16 == 7) {
        line["body"]["input"] = {"one", "two"};
      } else {
        line["body"] = {{"prompt", "Hello"}, {"max_tokens", 3}};
      }
    }
    text += line.dump() + "\n";
  }
  return text + "no JSON\n";
}

class FaultJob {
 public:
  FaultJob(bool ordered, int n_lines, int max_tokens) : ordered_(ordered) {
    folder_.write("in.jsonl", fault_input(n_lines, max_tokens));
    const std::string output = file("reference.jsonl");
    const auto start = std::chrono::steady_clock::now();
    Process run(command({}, output), stderr_path());
    REQUIRE(run.wait() == 1);
    run_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    reference_ = whole_lines(text_of(output));
    REQUIRE(std::ssize(reference_) == n_lines + 1);
  }

  std::string file(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string output() const { return file("out.jsonl"); }
  std::string stderr_path() const { return file("stderr"); }
  std::string errors() const { return text_of(stderr_path()); }
  double run_s() const { return run_s_; }  // of one that is not disturbed
  const Lines& reference() const { return reference_; }

  // `prefold run` of the job, into out.jsonl unless another output is given.
  Lines command(const Lines& more, const std::string& output = "") const {
    Lines words = {prefold_binary(),
                   "run",
                   "-m",
                   "tests/data/models/tiny_bpe.gguf",
                   "-i",
                   file("in.jsonl"),
                   "-o",
                   output.empty() ? this->output() : output,
                   "--quiet",
                   "--threads",
                   "1",
                   "--max-num-batched-tokens",
                   "16",
                   "--cost-model",
                   "tests/data/cost_model.json",
                   "--device",
                   "cpu"};
    if (ordered_) words.push_back("--ordered");
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  Process start(
      const Lines& more, const std::function<void()>& in_child = [] {}) const {
    return Process(command(more), stderr_path(), in_child);
  }
  int run(
      const Lines& more, const std::function<void()>& in_child = [] {}) const {
    return start(more, in_child).wait();
  }

  // Whole lines of the output, and those that wait beside it for earlier ones.
  Lines finished() const {
    Lines lines = whole_lines(text_of(output()));
    const auto n_written = std::ssize(lines);
    for (const std::string& record : whole_lines(text_of(output() + ".waiting"))) {
      const size_t tab = record.find('\t');
      REQUIRE(tab != std::string::npos);
      if (std::stoll(record) >= n_written) lines.push_back(record.substr(tab + 1));
    }
    return lines;
  }

  // Every line is one of the reference's, and none is there twice.
  void check_lines(const Lines& lines) const {
    const Lines all = sorted(reference_), here = sorted(lines);
    CHECK(std::includes(all.begin(), all.end(), here.begin(), here.end()));
  }

  void check_is_whole() const {
    const Lines lines = whole_lines(text_of(output()));
    if (ordered_) {
      CHECK(lines == reference_);
    } else {
      CHECK(sorted(lines) == sorted(reference_));
    }
    CHECK_FALSE(std::filesystem::exists(output() + ".waiting"));
    CHECK_FALSE(std::filesystem::exists(output() + ".lock"));
  }

  void forget() const {
    for (const char* end : {"", ".journal", ".waiting"}) std::filesystem::remove(output() + end);
  }

 private:
  TempFolder folder_;
  bool ordered_;
  double run_s_ = 0;
  Lines reference_;
};

}  // namespace prefold
