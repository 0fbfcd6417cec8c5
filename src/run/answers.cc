#include "run/answers.h"

#include <algorithm>

#include "base/check.h"

namespace prefold {

Answers::Answers(const PreparedJob& prepared, const Job& job, const TextModel& text, DoneFn on_done,
                 FirstTokenFn on_first_token)
    : prepared_(prepared),
      job_(job),
      text_(text),
      on_done_(std::move(on_done)),
      on_first_token_(std::move(on_first_token)),
      leader_of_sequence_(job.sequences.size()),
      followers_(prepared.requests.size()),
      builders_(job.sequences.size()) {
  for (int32_t i = 0; i < static_cast<int32_t>(prepared.requests.size()); ++i) {
    const PreparedRequest& r = prepared.requests[i];
    followers_[r.leader].push_back(i);
    if (r.leader != i) continue;
    for (int32_t c = 0; c < r.n_choices; ++c) leader_of_sequence_[r.first_sequence + c] = i;
  }
}

bool Answers::on_token(int32_t sequence, const SampledToken& token) {
  const int32_t leader = leader_of_sequence_[sequence];
  const PreparedRequest& r = prepared_.requests[leader];
  if (!builders_[sequence]) {
    builders_[sequence] =
        std::make_unique<TextBuilder>(text_.tokenizer, r.request.params, r.stop_ids);
    if (sequence == r.first_sequence) {
      for (int32_t request : followers_[leader]) on_first_token_(request);
    }
  }
  return builders_[sequence]->push(token);
}

void Answers::on_score(int32_t node, int32_t position, const SampledToken& score) {
  const PrefixNode& tree_node = job_.tree->nodes[node];
  std::vector<SampledToken>& scores = scores_[node];
  scores.resize(tree_node.depth_end - tree_node.depth_begin);
  scores[position - tree_node.depth_begin] = score;
}

void Answers::on_end(int32_t sequence) {
  const int32_t leader = leader_of_sequence_[sequence];
  const PreparedRequest& r = prepared_.requests[leader];
  Pending& pending = pending_[leader];
  if (pending.choices.empty()) {
    pending.choices.resize(r.n_choices);
    pending.n_running = r.n_choices;
  }
  Choice& choice = pending.choices[sequence - r.first_sequence];
  if (builders_[sequence]) {
    pending.n_tokens += builders_[sequence]->n_tokens();
    choice = builders_[sequence]->finish();
    builders_[sequence].reset();
  } else {
    choice.finish_reason = FinishReason::kLength;
  }
  if (--pending.n_running > 0) return;

  const Result result = build_result(leader, pending);
  pending_.erase(leader);
  for (int32_t request : followers_[leader]) {
    Result own = result;
    const Request& asked = prepared_.requests[request].request;
    if (const auto* prompt = std::get_if<std::string>(&asked.prompt); prompt && asked.params.echo) {
      own.prompt_text = *prompt;
    }
    own.usage.cached_tokens = request == leader ? cached_tokens(prepared_.requests[leader].prompt)
                                                : own.usage.prompt_tokens;
    on_done_(request, own);
  }
}

Result Answers::build_result(int32_t leader, const Pending& pending) const {
  const PreparedRequest& r = prepared_.requests[leader];
  const SamplingParams& params = r.request.params;
  const TokenSpan prompt = prepared_.prompts[r.prompt];
  Result result;
  result.choices = pending.choices;
  result.usage.prompt_tokens = static_cast<int32_t>(prompt.size());
  result.usage.completion_tokens = pending.n_tokens;
  if (r.n_choices < params.n) {  // greedy: all choices are the one that was computed
    result.choices.resize(params.n, pending.choices.front());
    result.usage.completion_tokens *= params.n;
  }
  if (job_.score_top[r.prompt] >= 0) {
    const int32_t n_top = params.prompt_logprobs.value_or(params.logprobs.value_or(0));
    result.prompt_logprobs = prompt_logprobs(r.prompt, n_top);
  }
  if (params.return_token_ids) result.prompt_token_ids.assign(prompt.begin(), prompt.end());
  if (params.echo) {
    result.prompt_text = text_.tokenizer.decode({prompt.begin(), prompt.end()}, false);
  }
  return result;
}

std::vector<std::optional<TokenLogprob>> Answers::prompt_logprobs(int32_t prompt,
                                                                  int32_t n_top) const {
  const PrefixTree& tree = *job_.tree;
  std::vector<std::optional<TokenLogprob>> logprobs(prepared_.prompts[prompt].size());
  for (int32_t node = tree.node_of_prompt[prompt]; node != 0; node = tree.nodes[node].parent) {
    const auto found = scores_.find(node);
    if (found == scores_.end()) continue;  // the prompt's one and only token has no score
    for (int32_t p = std::max(tree.nodes[node].depth_begin, 1); p < tree.nodes[node].depth_end;
         ++p) {
      logprobs[p] = spell(text_.tokenizer, found->second[p - tree.nodes[node].depth_begin], n_top);
    }
  }
  return logprobs;
}

// A node's tokens count as computed for its representative prompt and as reused by all others.
int32_t Answers::cached_tokens(int32_t prompt) const {
  const PrefixTree& tree = *job_.tree;
  int32_t node = tree.node_of_prompt[prompt];
  while (node != 0 && tree.nodes[node].representative == prompt) node = tree.nodes[node].parent;
  return tree.nodes[node].depth_end;
}

}  // namespace prefold
