// From input lines to a job: prompts rendered, tokenised and checked, duplicates found.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "io/request_reader.h"
#include "model/model_file.h"
#include "plan/prefix_tree.h"
#include "plan/request.h"
#include "run/options.h"
#include "schedule/job.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

// What turns a request's prompt into token ids; from the model file alone, without weights.
struct TextModel {
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;  // none: chat requests fail
  std::string bos_token, eos_token;
  std::vector<int32_t> eos_ids;  // tokens that end an answer
  int64_t now_unix_s = 0;        // what the template sees as the time: the job's start
};
TextModel make_text_model(const ModelFile& model, int64_t now_unix_s);

// The text of a chat prompt. Throws RequestError.
std::string render_chat(const TextModel& text, const ChatMessages& chat);

// All prompts' tokens, end to end.
struct PromptStore {
  std::vector<int32_t> tokens;
  std::vector<int64_t> offsets{0};

  int32_t add(std::span<const int32_t> prompt);
  TokenSpan operator[](int32_t i) const {
    return {tokens.data() + offsets[i], static_cast<size_t>(offsets[i + 1] - offsets[i])};
  }
  int32_t size() const { return static_cast<int32_t>(offsets.size()) - 1; }
};

struct PreparedRequest {
  Request request;      // the prompt is given up once tokenised, save its text for echo
  int32_t prompt = -1;  // index into the store
  int32_t max_tokens = 0;
  std::vector<int32_t> stop_ids;
  int32_t leader = -1;  // the request whose answer this one gets: itself, unless it repeats another
  int32_t n_choices = 1;  // sequences that are computed; n > 1 greedy choices are the same one
  int32_t first_sequence = -1;
};

struct PreparedJob {
  std::vector<PreparedRequest> requests;  // those that will be answered, in input order
  std::vector<int64_t> line_of_request;   // their places among all lines, failed ones included
  PromptStore prompts;                    // one a request; in memory at once
  int64_t n_lines = 0;                    // requests and failures
};

// Called for each line that will have no answer, in input order.
using FailureFn = std::function<void(const LineError& error, int64_t line_idx)>;

// Reads all lines. A bad one is told to on_failure and stops nothing.
PreparedJob prepare_job(RequestReader& reader, const TextModel& text, const RunConfig& config,
                        ThreadPool& pool, const FailureFn& on_failure);

// By prompt: the rows that its answers will decode (their tokens less the first of each), as
// predicted from the prior by the groups of `tree`.
std::vector<int64_t> predicted_decode_tokens(const PreparedJob& prepared, const PrefixTree& tree,
                                             const LengthsByGroup& prior);

// The sequences to compute. `tree` and `prepared` must outlive the job.
Job make_job(PreparedJob& prepared, std::vector<TokenSpan>& spans, const PrefixTree& tree,
             uint64_t run_seed);

}  // namespace prefold
