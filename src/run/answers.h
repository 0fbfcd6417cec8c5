// Collects the tokens and scores of each step until a request's last choice has ended. What does
// not decide about the next step is left to result_builder.h, on another thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "run/prepared_job.h"
#include "run/text_builder.h"
#include "schedule/scheduler.h"

namespace prefold {

// The scores of a tree node's tokens, from its start.
struct NodeScores {
  int32_t node = 0;
  std::vector<SampledToken> tokens;
};

// All that was computed for a request, and nothing that changes any more.
struct FinishedAnswer {
  int32_t leader = -1;
  int32_t n_tokens = 0;                                   // of all choices
  std::vector<TextBuilder> choices;                       // those that were computed
  std::vector<std::shared_ptr<const NodeScores>> scores;  // of the prompt, if it asks for them
  std::vector<float> pooled;                              // of an embedding: see EmbedRow
};

class Answers : public StepSink {
 public:
  // Called with the leader of each first token.
  using FirstTokenFn = std::function<void(int32_t leader)>;
  // Called once for each leader.
  using FinishedFn = std::function<void(FinishedAnswer answer)>;

  // Everything must outlive this, the tokenizer and the prepared job also the finished answers; the
  // job is as make_job made it.
  Answers(const PreparedJob& prepared, const Job& job, const Tokenizer& tokenizer,
          FirstTokenFn on_first_token, FinishedFn on_finished);

  bool on_token(int32_t sequence, const SampledToken& token) override;
  void on_score(int32_t node, int32_t position, const SampledToken& score) override;
  void on_embedding(int32_t sequence, const std::vector<float>& pooled) override;
  void on_end(int32_t sequence) override;

 private:
  struct Pending {  // of a leader, from its first token on
    int32_t n_running = 0;
    std::vector<TextBuilder> choices;
    std::vector<float> pooled;
  };
  Pending& pending_of(int32_t leader);
  std::vector<std::shared_ptr<const NodeScores>> scores_of(int32_t prompt) const;

  const PreparedJob& prepared_;
  const Job& job_;
  const Tokenizer& tokenizer_;
  FirstTokenFn on_first_token_;
  FinishedFn on_finished_;
  std::unordered_map<int32_t, Pending> pending_;                     // by leader
  std::unordered_map<int32_t, std::shared_ptr<NodeScores>> scores_;  // by tree node
};

}  // namespace prefold
