#include "run/result_builder.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

namespace prefold {
namespace {

std::vector<std::optional<TokenLogprob>> prompt_logprobs(const FinishedAnswer& answer,
                                                         const SamplingParams& params,
                                                         const PrefixTree& tree, int32_t n_prompt,
                                                         const Tokenizer& tokenizer) {
  const int32_t n_top = params.prompt_logprobs.value_or(params.logprobs.value_or(0));
  std::vector<std::optional<TokenLogprob>> logprobs(n_prompt);
  for (const auto& scores : answer.scores) {
    const PrefixNode& node = tree.nodes[scores->node];
    for (int32_t p = std::max(node.depth_begin, 1); p < node.depth_end; ++p) {
      logprobs[p] = spell(tokenizer, scores->tokens[p - node.depth_begin], n_top);
    }
  }
  return logprobs;
}

// A node's tokens count as computed for its representative prompt and as reused by all others.
int32_t cached_tokens(const PrefixTree& tree, int32_t prompt) {
  int32_t node = tree.node_of_prompt[prompt];
  while (node != 0 && tree.nodes[node].representative == prompt) node = tree.nodes[node].parent;
  return tree.nodes[node].depth_end;
}

// The first values of what was pooled, made unit length: a mean need not be divided by its count.
std::vector<float> unit_embedding(const std::vector<float>& pooled, const EmbeddingParams& params) {
  std::vector<float> unit(pooled.begin(),
                          pooled.begin() + params.dimensions.value_or(std::ssize(pooled)));
  double squares = 0.0;
  for (const float value : unit) squares += double{value} * value;
  const double scale = squares > 0.0 ? 1.0 / std::sqrt(squares) : 1.0;
  for (float& value : unit) value = static_cast<float>(value * scale);
  return unit;
}

Result result_of_leader(FinishedAnswer& answer, const PreparedJob& prepared, const PrefixTree& tree,
                        const Tokenizer& tokenizer) {
  const SamplingParams& params = prepared.parameters_of(answer.leader).params;
  const TokenSpan prompt = prepared.prompts[answer.leader];
  const auto n_prompt = static_cast<int32_t>(prompt.size());
  Result result;
  if (const auto& embedding = prepared.parameters_of(answer.leader).embedding) {
    result.embeddings.push_back(unit_embedding(answer.pooled, *embedding));
    result.usage = {n_prompt, 0, 0};
    return result;
  }
  for (TextBuilder& choice : answer.choices) result.choices.push_back(choice.finish());
  result.usage = {n_prompt, answer.n_tokens, 0};
  if (std::ssize(result.choices) < params.n) {  // all choices are the one that was computed
    result.choices.resize(params.n, Choice(result.choices.front()));
    result.usage.completion_tokens *= params.n;
  }
  if (wanted_score_top(params) >= 0) {
    result.prompt_logprobs = prompt_logprobs(answer, params, tree, n_prompt, tokenizer);
  }
  if (params.return_token_ids) result.prompt_token_ids.assign(prompt.begin(), prompt.end());
  if (params.echo) {
    result.prompt_text = tokenizer.decode({prompt.begin(), prompt.end()}, false);
  }
  return result;
}

}  // namespace

void build_results(FinishedAnswer answer, const PreparedJob& prepared, const PrefixTree& tree,
                   const Tokenizer& tokenizer,
                   const std::function<void(int32_t request, const Request& asked,
                                            const Result& result)>& on_result) {
  Result result = result_of_leader(answer, prepared, tree, tokenizer);
  const std::string decoded_prompt = result.prompt_text;
  for (int32_t i = answer.leader; i >= 0; i = prepared.next_with_same_answer(i)) {
    const KeptLine line = kept_line(prepared, i);
    result.prompt_text = line.echoed_text.value_or(decoded_prompt);
    result.usage.cached_tokens =
        i == answer.leader ? cached_tokens(tree, i) : result.usage.prompt_tokens;
    on_result(i, line.request, result);
  }
}

}  // namespace prefold
