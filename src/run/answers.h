// Puts answers together: takes the tokens and scores of each step and hands over each request's
// Result when its last choice has ended.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "run/prepared_job.h"
#include "run/text_builder.h"
#include "schedule/scheduler.h"

namespace prefold {

class Answers : public StepSink {
 public:
  // Called once for each request, repeated ones after the one they repeat.
  using DoneFn = std::function<void(int32_t request, const Result& result)>;
  // Called with the request of each first token.
  using FirstTokenFn = std::function<void(int32_t request)>;

  // Everything must outlive this; the job is as make_job made it.
  Answers(const PreparedJob& prepared, const Job& job, const TextModel& text, DoneFn on_done,
          FirstTokenFn on_first_token);

  bool on_token(int32_t sequence, const SampledToken& token) override;
  void on_score(int32_t node, int32_t position, const SampledToken& score) override;
  void on_end(int32_t sequence) override;

 private:
  struct Pending {  // of a leading request
    int32_t n_running = 0;
    int32_t n_tokens = 0;
    std::vector<Choice> choices;
  };
  Result build_result(int32_t leader, const Pending& pending) const;
  std::vector<std::optional<TokenLogprob>> prompt_logprobs(int32_t prompt, int32_t n_top) const;
  int32_t cached_tokens(int32_t prompt) const;

  const PreparedJob& prepared_;
  const Job& job_;
  const TextModel& text_;
  DoneFn on_done_;
  FirstTokenFn on_first_token_;
  std::vector<int32_t> leader_of_sequence_;
  std::vector<std::vector<int32_t>> followers_;         // by leader: requests that repeat it
  std::vector<std::unique_ptr<TextBuilder>> builders_;  // by sequence; made with its first token
  std::unordered_map<int32_t, Pending> pending_;        // by leader
  std::unordered_map<int32_t, std::vector<SampledToken>> scores_;  // by tree node, from its start
};

}  // namespace prefold
