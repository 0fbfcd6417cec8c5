#include "run/prepared_job.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "base/error.h"
#include "cache/block_table.h"
#include "plan/length.h"
#include "plan/prefix_groups.h"
#include "plan/sampling_key.h"

namespace prefold {
namespace {

// Lines are read one by one and tokenised this many at a time, on all threads.
constexpr size_t kLinesPerBatch = 512;

struct Tokenised {
  std::vector<int32_t> ids;
  std::optional<RequestFailure> failure;
};

RequestFailure failure_at(const Request& request, const RequestError& error) {
  return {error.code(),
          fmt::format("{}:{}: {}", request.source.file, request.source.line, error.what())};
}

struct Encode {
  const Request& request;
  const TextModel& text;

  std::vector<int32_t> operator()(const std::string& prompt) const {
    return text.tokenizer.encode(prompt, request.add_special_tokens, true);
  }
  std::vector<int32_t> operator()(const std::vector<int32_t>& ids) const {
    const int32_t n_vocab = text.tokenizer.vocab_size();
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= n_vocab) {
        throw RequestError("invalid_value",
                           fmt::format("prompt token {} is {}; this model's ids go from 0 to {}", i,
                                       ids[i], n_vocab - 1));
      }
    }
    return ids;
  }
  std::vector<int32_t> operator()(const ChatMessages& chat) const {
    return text.tokenizer.encode(render_chat(text, chat), false, true);
  }
};

// Throws RequestError unless the prompt leaves room for a token (or, if none is wanted, fits).
int32_t checked_max_tokens(const Request& request, int64_t n_prompt, const RunConfig& config) {
  if (n_prompt == 0) throw RequestError("empty_prompt", "the prompt has no tokens");
  const SamplingParams& params = request.params;
  const bool only_scored = params.max_tokens == 0;
  if (n_prompt + (only_scored ? 0 : 1) > config.max_model_len) {
    throw RequestError("prompt_too_long",
                       fmt::format("the prompt has {} tokens; this run takes {} for prompt and "
                                   "answer together (--max-model-len)",
                                   n_prompt, config.max_model_len));
  }
  const int32_t room = static_cast<int32_t>(config.max_model_len - n_prompt);
  const int32_t max_tokens = std::min(params.max_tokens.value_or(room), room);
  const int64_t n_blocks =
      blocks_for(static_cast<int32_t>(n_prompt) + max_tokens, kKvBlockTokens) + kSpareBlocks;
  if (n_blocks > config.n_kv_blocks) {
    throw RequestError(
        "needs_more_kv",
        fmt::format("the prompt's {} tokens and max_tokens {} need {} bytes of KV cache; there are "
                    "{} (--kv-memory)",
                    n_prompt, max_tokens, n_blocks * config.kv_bytes_per_block,
                    config.n_kv_blocks * config.kv_bytes_per_block));
  }
  return max_tokens;
}

void check_token_ids_of(const Request& request, int32_t n_vocab) {
  const auto check = [&](int32_t id, const char* name) {
    if (id < 0 || id >= n_vocab) {
      throw RequestError("invalid_value",
                         fmt::format("\"{}\" names token {}; this model's ids go from 0 to {}",
                                     name, id, n_vocab - 1));
    }
  };
  for (const auto& [id, bias] : request.params.logit_bias) check(id, "logit_bias");
  for (int32_t id : request.params.stop_token_ids) check(id, "stop_token_ids");
}

std::vector<int32_t> stop_ids_of(const SamplingParams& params, const TextModel& text) {
  std::vector<int32_t> ids = params.stop_token_ids;
  if (!params.ignore_eos) ids.insert(ids.end(), text.eos_ids.begin(), text.eos_ids.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

bool is_greedy(const SamplingParams& params) { return params.temperature == 0.0f; }

// Finds for each request an earlier one with the same prompt and parameters whose answer must be
// the same: greedy ones, and those that name the same seed.
void find_duplicates(PreparedJob& job) {
  std::unordered_multimap<uint64_t, int32_t> by_hash;
  for (int32_t i = 0; i < static_cast<int32_t>(job.requests.size()); ++i) {
    PreparedRequest& r = job.requests[i];
    if (!is_greedy(r.request.params) && !r.request.params.seed) continue;
    const TokenSpan prompt = job.prompts[r.prompt];
    const uint64_t hash = std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(prompt.data()), prompt.size() * sizeof(int32_t)});
    const auto [begin, end] = by_hash.equal_range(hash);
    const auto same = std::find_if(begin, end, [&](const auto& entry) {
      const PreparedRequest& other = job.requests[entry.second];
      const TokenSpan theirs = job.prompts[other.prompt];
      return std::equal(prompt.begin(), prompt.end(), theirs.begin(), theirs.end()) &&
             r.request.params == other.request.params && r.max_tokens == other.max_tokens;
    });
    if (same != end) {
      r.leader = same->second;
    } else {
      by_hash.emplace(hash, i);
    }
  }
}

int32_t wanted_score_top(const SamplingParams& params) {
  int32_t top = params.prompt_logprobs.value_or(-1);
  if (params.echo && params.logprobs) top = std::max(top, *params.logprobs);
  return top;
}

}  // namespace

TextModel make_text_model(const ModelFile& model, int64_t now_unix_s) {
  const TokenizerSpec& spec = model.tokenizer;
  TextModel text{Tokenizer(spec), std::nullopt, {}, {}, {}, now_unix_s};
  if (model.chat_template) text.chat_template.emplace(*model.chat_template);
  if (spec.bos_id) text.bos_token = spec.tokens[*spec.bos_id];
  if (spec.eos_id) text.eos_token = spec.tokens[*spec.eos_id];
  for (const std::optional<int32_t>& id : {spec.eos_id, spec.eot_id}) {
    if (id) text.eos_ids.push_back(*id);
  }
  return text;
}

std::string render_chat(const TextModel& text, const ChatMessages& chat) {
  if (!text.chat_template) {
    throw RequestError("no_chat_template",
                       "this model has no chat template; use \"prompt\" instead of \"messages\"");
  }
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  variables["messages"] = chat.messages;
  variables["tools"] = chat.tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = chat.add_generation_prompt;
  variables["bos_token"] = text.bos_token;
  variables["eos_token"] = text.eos_token;
  if (chat.template_kwargs.is_object()) variables.update(chat.template_kwargs);
  return text.chat_template->render(variables, text.now_unix_s);
}

int32_t PromptStore::add(std::span<const int32_t> prompt) {
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  offsets.push_back(static_cast<int64_t>(tokens.size()));
  return size() - 1;
}

PreparedJob prepare_job(RequestReader& reader, const TextModel& text, const RunConfig& config,
                        ThreadPool& pool, const FailureFn& on_failure) {
  PreparedJob job;
  std::vector<RequestOrError> items;
  std::vector<Tokenised> tokenised;
  bool more = true;
  while (more) {
    items.clear();
    while (items.size() < kLinesPerBatch) {
      std::optional<RequestOrError> item = reader.next();
      more = item.has_value();
      if (!more) break;
      items.push_back(std::move(*item));
    }
    tokenised.assign(items.size(), {});
    pool.parallel_for(static_cast<int64_t>(items.size()), [&](int64_t i, int32_t) {
      const Request* request = std::get_if<Request>(&items[i]);
      if (request == nullptr) return;
      try {
        check_token_ids_of(*request, text.tokenizer.vocab_size());
        tokenised[i].ids = std::visit(Encode{*request, text}, request->prompt);
        checked_max_tokens(*request, static_cast<int64_t>(tokenised[i].ids.size()), config);
      } catch (const RequestError& error) {
        tokenised[i].failure = failure_at(*request, error);
      }
    });
    for (size_t i = 0; i < items.size(); ++i) {
      const int64_t line_idx = job.n_lines++;
      if (const LineError* error = std::get_if<LineError>(&items[i])) {
        on_failure(*error, line_idx);
        continue;
      }
      Request& request = std::get<Request>(items[i]);
      if (tokenised[i].failure) {
        on_failure({request.source, request.id, request.id_is_integer, request.kind,
                    *tokenised[i].failure},
                   line_idx);
        continue;
      }
      PreparedRequest prepared;
      prepared.max_tokens =
          checked_max_tokens(request, static_cast<int64_t>(tokenised[i].ids.size()), config);
      prepared.stop_ids = stop_ids_of(request.params, text);
      prepared.prompt = job.prompts.add(tokenised[i].ids);
      prepared.leader = static_cast<int32_t>(job.requests.size());
      if (!request.params.echo) request.prompt = {};
      prepared.request = std::move(request);
      job.requests.push_back(std::move(prepared));
      job.line_of_request.push_back(line_idx);
    }
  }
  if (config.options.sharing == Sharing::kTree) find_duplicates(job);
  for (PreparedRequest& r : job.requests) {
    const bool same_choices =
        config.options.sharing == Sharing::kTree && is_greedy(r.request.params);
    r.n_choices = same_choices ? 1 : r.request.params.n;
  }
  return job;
}

std::vector<int64_t> predicted_decode_tokens(const PreparedJob& prepared, const PrefixTree& tree,
                                             const LengthsByGroup& prior) {
  const LengthPredictor lengths(prior);
  const std::vector<int32_t> groups = prefix_groups(tree, LengthDistribution::kEnough);
  std::vector<int64_t> tokens(prepared.prompts.size(), 0);
  for (size_t i = 0; i < prepared.requests.size(); ++i) {
    const PreparedRequest& r = prepared.requests[i];
    if (r.leader != static_cast<int32_t>(i)) continue;
    const int32_t group = group_of_node(tree, groups, tree.node_of_prompt[r.prompt]);
    const int64_t n_tokens =
        r.request.params.ignore_eos ? r.max_tokens : lengths.predict(group, 0, r.max_tokens);
    tokens[r.prompt] += r.n_choices * std::max<int64_t>(n_tokens - 1, 0);
  }
  return tokens;
}

Job make_job(PreparedJob& prepared, std::vector<TokenSpan>& spans, const PrefixTree& tree,
             uint64_t run_seed) {
  Job job;
  job.prompts = spans;
  job.tree = &tree;
  job.score_top.assign(prepared.requests.size(), -1);
  for (int32_t i = 0; i < static_cast<int32_t>(prepared.requests.size()); ++i) {
    PreparedRequest& r = prepared.requests[i];
    if (r.leader != i) continue;
    const SamplingParams& params = r.request.params;
    job.score_top[r.prompt] = wanted_score_top(params);
    r.first_sequence = static_cast<int32_t>(job.sequences.size());
    for (int32_t choice = 0; choice < r.n_choices; ++choice) {
      job.sequences.push_back({r.prompt, r.max_tokens, &params, r.stop_ids,
                               sampling_key(params.seed, run_seed, r.request.id, choice)});
    }
  }
  return job;
}

}  // namespace prefold
