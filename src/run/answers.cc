#include "run/answers.h"

#include <utility>

namespace prefold {

Answers::Answers(const PreparedJob& prepared, const Job& job, const Tokenizer& tokenizer,
                 FirstTokenFn on_first_token, FinishedFn on_finished)
    : prepared_(prepared),
      job_(job),
      tokenizer_(tokenizer),
      on_first_token_(std::move(on_first_token)),
      on_finished_(std::move(on_finished)) {}

Answers::Pending& Answers::pending_of(int32_t leader) {
  Pending& pending = pending_[leader];
  if (!pending.choices.empty()) return pending;
  const ParameterSet& set = prepared_.parameters_of(leader);
  pending.n_running = set.n_computed;
  pending.choices.assign(set.n_computed, TextBuilder(tokenizer_, set.params, set.stop_ids));
  return pending;
}

bool Answers::on_token(int32_t sequence, const SampledToken& token) {
  const auto [leader, choice] = job_.sequences[sequence];
  TextBuilder& builder = pending_of(leader).choices[choice];
  if (choice == 0 && builder.n_tokens() == 0) on_first_token_(leader);
  return builder.push(token);
}

void Answers::on_score(int32_t node, int32_t position, const SampledToken& score) {
  const PrefixNode& tree_node = job_.tree->nodes[node];
  std::shared_ptr<NodeScores>& scores = scores_[node];
  if (!scores) {
    scores = std::make_shared<NodeScores>();
    scores->node = node;
    scores->tokens.resize(tree_node.n_tokens());
  }
  scores->tokens[position - tree_node.depth_begin] = score;
}

void Answers::on_embedding(int32_t sequence, const std::vector<float>& pooled) {
  pending_of(job_.sequences[sequence].prompt).pooled = pooled;
}

void Answers::on_end(int32_t sequence) {
  const int32_t leader = job_.sequences[sequence].prompt;
  Pending& pending = pending_of(leader);
  if (--pending.n_running > 0) return;
  FinishedAnswer answer;
  answer.leader = leader;
  answer.choices = std::move(pending.choices);
  answer.pooled = std::move(pending.pooled);
  pending_.erase(leader);
  for (const TextBuilder& choice : answer.choices) answer.n_tokens += choice.n_tokens();
  if (job_.score_top_of(leader) >= 0) answer.scores = scores_of(leader);
  on_finished_(std::move(answer));
}

// All scores of a prompt have been told when its sequences end, so nothing writes to them again.
std::vector<std::shared_ptr<const NodeScores>> Answers::scores_of(int32_t prompt) const {
  const PrefixTree& tree = *job_.tree;
  std::vector<std::shared_ptr<const NodeScores>> scores;
  for (int32_t node = tree.node_of_prompt[prompt]; node != 0; node = tree.nodes[node].parent) {
    const auto found = scores_.find(node);
    if (found != scores_.end()) scores.push_back(found->second);
    // None: the prompt's one and only token has no score.
  }
  return scores;
}

}  // namespace prefold
