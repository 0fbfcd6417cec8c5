// Runs whole jobs in a temporary folder, for tests that compare what different settings answer.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/kernels.h"
#include "run/run_job.h"

namespace prefold {

using Json = nlohmann::ordered_json;

class JobFolder {
 public:
  JobFolder() {
    char name[] = "/tmp/prefold-test-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~JobFolder() { std::filesystem::remove_all(path_); }

  std::string file(const std::string& name) const { return path_ + "/" + name; }

  void write_lines(const std::string& name, const std::vector<Json>& lines) const {
    std::ofstream out(file(name));
    for (const Json& line : lines) out << line.dump() << "\n";
  }

  // The output's lines, sorted: the order of completion may differ, the lines may not.
  std::vector<std::string> sorted_lines(const std::string& name) const {
    std::ifstream in(file(name));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  // Runs in.jsonl into out.jsonl and returns the sorted answers.
  std::vector<std::string> answers(RunOptions options, RunMetrics* metrics = nullptr) const {
    // Steps are the same on every machine, unless a test has other costs in mind.
    if (options.cost_model.empty()) options.cost_model = "tests/data/cost_model.json";
    options.inputs = {file("in.jsonl")};
    options.output = file("out.jsonl");
    options.overwrite = true;
    const RunOutcome outcome = run_job(options, {[](const Note&) {}, [](const ProgressCounts&) {}});
    if (metrics != nullptr) *metrics = outcome.metrics;
    return sorted_lines("out.jsonl");
  }

 private:
  std::string path_;
};

inline std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const CpuKernels* kernels : available_cpu_kernels()) names.emplace_back(kernels->isa);
  return names;
}

// Those to try jobs of every model with. With sanitizers the plain kernels, the only ones that have
// them, are compiled unoptimised, and jobs take minutes: identity_test.cc has some.
inline std::vector<std::string> job_instruction_sets() {
  std::vector<std::string> names = instruction_sets();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  if (names.size() > 1) std::erase(names, "scalar");
#endif
  return names;
}

// The default model's path, from the environment; tests that need it are skipped without.
inline const char* test_model() { return std::getenv("PREFOLD_TEST_MODEL"); }

}  // namespace prefold
