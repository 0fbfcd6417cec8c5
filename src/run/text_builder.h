// One sequence's answer as it grows token by token: text, stop conditions, log-probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "plan/result.h"
#include "plan/step_plan.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

class TextBuilder {
 public:
  // params and stop_ids must outlive this. stop_ids: tokens that end the answer.
  TextBuilder(const Tokenizer& tokenizer, const SamplingParams& params,
              std::span<const int32_t> stop_ids);

  // Takes the next token. True if the answer ends with it: a stop token, or a stop string that its
  // text completes (also one that began in earlier tokens), after min_tokens others. Only the text
  // of requests with stop strings is made here; everything else is left to finish.
  bool push(const SampledToken& token);

  // The answer; call once, when no token follows, on any thread. n_tokens counts all of them, the
  // stop token too.
  Choice finish();
  int32_t n_tokens() const { return static_cast<int32_t>(ids_.size()); }

 private:
  enum class End : uint8_t { kNone, kStopToken, kStopString };
  bool ends_with_stop_string(size_t n_old_bytes);

  const Tokenizer* tokenizer_;
  const SamplingParams* params_;
  std::span<const int32_t> stop_ids_;
  StreamDecoder decoder_;
  End end_ = End::kNone;
  std::vector<int32_t> ids_;
  std::vector<SampledToken> scored_;  // the same tokens, if log-probabilities are asked for
  std::string text_;                  // of the first n_decoded_ tokens
  size_t n_decoded_ = 0;
};

// The log-probability of a token with the spelling of all tokens named, n_top of the alternatives.
TokenLogprob spell(const Tokenizer& tokenizer, const SampledToken& token, int32_t n_top);

}  // namespace prefold
