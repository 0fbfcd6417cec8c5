#include "run/text_builder.h"

#include <algorithm>

namespace prefold {

TextBuilder::TextBuilder(const Tokenizer& tokenizer, const SamplingParams& params,
                         std::span<const int32_t> stop_ids)
    : tokenizer_(&tokenizer),
      params_(&params),
      stop_ids_(stop_ids),
      decoder_(tokenizer, params.skip_special_tokens) {}

bool TextBuilder::push(const SampledToken& token) {
  ids_.push_back(token.id);
  if (params_->logprobs) scored_.push_back(token);
  // The sampler masks stop ids before min_tokens, so one that comes may end the answer.
  if (std::find(stop_ids_.begin(), stop_ids_.end(), token.id) != stop_ids_.end()) {
    end_ = End::kStopToken;
    return true;
  }
  if (params_->stop.empty()) return false;
  const size_t n_old_bytes = text_.size();
  text_ += decoder_.push(token.id);
  n_decoded_ = ids_.size();
  if (n_tokens() <= params_->min_tokens || !ends_with_stop_string(n_old_bytes)) return false;
  end_ = End::kStopString;
  return true;
}

// Cuts the text at the stop string that is complete first, of those that reach into the new text:
// what a token at a time of one byte each would find. Of two that end together the first one given.
bool TextBuilder::ends_with_stop_string(size_t n_old_bytes) {
  if (text_.size() == n_old_bytes) return false;
  size_t begin = 0, end = std::string::npos;
  for (const std::string& stop : params_->stop) {
    const size_t at = text_.find(stop, n_old_bytes - std::min(n_old_bytes, stop.size() - 1));
    if (at == std::string::npos || at + stop.size() >= end) continue;
    begin = at;
    end = at + stop.size();
  }
  if (end == std::string::npos) return false;
  text_.resize(params_->include_stop_str_in_output ? end : begin);
  return true;
}

Choice TextBuilder::finish() {
  const size_t n_text_tokens = ids_.size() - (end_ == End::kStopToken ? 1 : 0);
  for (; n_decoded_ < n_text_tokens; ++n_decoded_) text_ += decoder_.push(ids_[n_decoded_]);
  if (end_ != End::kStopString) text_ += decoder_.finish();
  if (end_ == End::kStopToken && params_->include_stop_str_in_output) {
    text_ += tokenizer_->piece(ids_.back(), !params_->skip_special_tokens);
  }
  Choice choice;
  choice.text = std::move(text_);
  choice.finish_reason = end_ == End::kNone ? FinishReason::kLength : FinishReason::kStop;
  for (const SampledToken& token : scored_) {
    choice.logprobs.push_back(spell(*tokenizer_, token, *params_->logprobs));
  }
  if (params_->return_token_ids) choice.token_ids = std::move(ids_);
  return choice;
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
