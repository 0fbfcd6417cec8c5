// Jobs of several adapters.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "e2e/job_fixture.h"

namespace prefold {

// The answers, sorted, where the lines of each adapter of `base`, and those of none, are a job of
// their own, to which no other adapter is given.
inline std::vector<std::string> answered_alone(const std::vector<Json>& lines,
                                               const RunOptions& base) {
  std::vector<LoraOption> adapters = base.lora;
  adapters.emplace_back();  // none
  std::vector<std::string> answers;
  for (const LoraOption& adapter : adapters) {
    RunOptions options = base;
    std::erase_if(options.lora, [&](const LoraOption& it) { return it.name != adapter.name; });
    std::vector<Json> own;
    for (const Json& line : lines) {
      if (line.value("lora", "") == adapter.name) own.push_back(line);
    }
    JobFolder folder;
    folder.write_lines("in.jsonl", own);
    for (std::string& answer : folder.answers(options)) answers.push_back(std::move(answer));
  }
  std::sort(answers.begin(), answers.end());
  return answers;
}

}  // namespace prefold
