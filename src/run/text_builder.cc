#include "run/text_builder.h"

#include <algorithm>

namespace prefold {

TextBuilder::TextBuilder(const Tokenizer& tokenizer, const SamplingParams& params,
                         std::span<const int32_t> stop_ids)
    : tokenizer_(&tokenizer),
      params_(&params),
      stop_ids_(stop_ids),
      decoder_(tokenizer, params.skip_special_tokens) {
  choice_.finish_reason = FinishReason::kLength;
}

bool TextBuilder::push(const SampledToken& token) {
  ++n_tokens_;
  if (params_->return_token_ids) choice_.token_ids.push_back(token.id);
  if (params_->logprobs) choice_.logprobs.push_back(spell(*tokenizer_, token, *params_->logprobs));
  // The sampler masks stop ids before min_tokens, so one that comes may end the answer.
  if (std::find(stop_ids_.begin(), stop_ids_.end(), token.id) != stop_ids_.end()) {
    stopped_ = true;
    choice_.finish_reason = FinishReason::kStop;
    choice_.text += decoder_.finish();
    if (params_->include_stop_str_in_output) {
      choice_.text += tokenizer_->piece(token.id, !params_->skip_special_tokens);
    }
    return true;
  }
  const size_t n_old_bytes = choice_.text.size();
  choice_.text += decoder_.push(token.id);
  if (n_tokens_ < params_->min_tokens || !ends_with_stop_string(n_old_bytes)) return false;
  stopped_ = true;
  choice_.finish_reason = FinishReason::kStop;
  return true;
}

// Cuts the text at the stop string that begins first, of those that reach into the new text.
bool TextBuilder::ends_with_stop_string(size_t n_old_bytes) {
  if (choice_.text.size() == n_old_bytes) return false;
  size_t best = std::string::npos, best_bytes = 0;
  for (const std::string& stop : params_->stop) {
    const size_t at = choice_.text.find(stop, n_old_bytes - std::min(n_old_bytes, stop.size() - 1));
    if (at < best) {
      best = at;
      best_bytes = stop.size();
    }
  }
  if (best == std::string::npos) return false;
  choice_.text.resize(params_->include_stop_str_in_output ? best + best_bytes : best);
  return true;
}

Choice TextBuilder::finish() {
  if (!stopped_) choice_.text += decoder_.finish();
  return std::move(choice_);
}

TokenLogprob spell(const Tokenizer& tokenizer, const SampledToken& token, int32_t n_top) {
  TokenLogprob spelled{token.id, token.logprob, std::string(tokenizer.piece(token.id, true)), {}};
  for (const auto& [id, logprob] : token.top) {
    if (static_cast<int32_t>(spelled.top.size()) == n_top) break;
    spelled.top.push_back({id, logprob, std::string(tokenizer.piece(id, true))});
  }
  return spelled;
}

}  // namespace prefold
