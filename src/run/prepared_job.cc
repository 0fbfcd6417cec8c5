#include "run/prepared_job.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "base/check.h"
#include "plan/length.h"
#include "plan/prefix_groups.h"
#include "plan/sampling_key.h"
#include "run/line_batches.h"

namespace prefold {
namespace {

std::vector<int32_t> stop_ids_of(const SamplingParams& params, const TextModel& text) {
  std::vector<int32_t> ids = params.stop_token_ids;
  if (!params.ignore_eos) ids.insert(ids.end(), text.eos_ids.begin(), text.eos_ids.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

bool is_greedy(const SamplingParams& params) { return params.temperature == 0.0f; }

// A line whose id an earlier one had is an error line by now, with a name of its own.
bool is_finished(const ReadLine& line, const FinishedLines* finished) {
  if (finished == nullptr) return false;
  const LineError* error = std::get_if<LineError>(&line.read);
  return error == nullptr ? line.is_finished : finished->has_failure(error->id);
}

void count_finished(const ReadLine& line, PreparedJob& job) {
  if (job.n_finished_in_order == job.n_lines) ++job.n_finished_in_order;
  ++job.n_finished;
  job.n_finished_failures += std::holds_alternative<LineError>(line.read) ? 1 : 0;
}

using ModelIndex = std::unordered_map<std::string, int32_t>;

void add_request(Request& request, const ReadLine& line, const TextModel& text,
                 const RunConfig& config, ModelIndex& models, PreparedJob& job) {
  SamplingParams& params = request.params;
  PreparedRequest prepared;
  prepared.line_idx = static_cast<int32_t>(job.n_lines);
  CHECK(prepared.line_idx == job.n_lines);  // they would not fit memory by far
  prepared.key = request_key(params.seed, config.options.seed, request.id);
  const auto [model, is_new] =
      models.emplace(request.model, static_cast<int32_t>(job.model_names.size()));
  if (is_new) job.model_names.push_back(request.model);
  prepared.model = model->second;
  prepared.max_tokens = *params.max_tokens;
  prepared.kind = request.kind;
  prepared.id_is_integer = request.id_is_integer;
  prepared.has_seed = params.seed.has_value();
  LineText kept{request.id, std::move(request.metadata), std::move(request.beside_body), {}};
  std::string* echoed = params.echo ? std::get_if<std::string>(&request.prompt) : nullptr;
  if (echoed != nullptr) kept.echoed_text = std::move(*echoed);
  prepared.text_at = job.texts.add(kept);

  const bool same_choices = config.options.sharing == Sharing::kTree && is_greedy(params);
  ParameterSet set;
  set.stop_ids = stop_ids_of(params, text);
  set.n_computed = same_choices ? 1 : params.n;
  set.embedding = request.embedding;
  set.params = std::move(params);
  set.params.max_tokens.reset();
  set.params.seed.reset();
  prepared.parameters = job.parameters.add(std::move(set));
  for (const std::vector<int32_t>& ids : line.prompts) {
    if (!config.options.lora.empty()) job.adapters.push_back(line.adapter);
    prepared.leader = static_cast<int32_t>(job.requests.size());
    job.prompts.add(ids);
    job.requests.push_back(prepared);
  }
}

}  // namespace

LineParts parts_of_line(const PreparedJob& prepared, int32_t request) {
  const std::vector<PreparedRequest>& requests = prepared.requests;
  if (requests[request].kind != LineKind::kOpenAiEmbedding) return {request, 1};
  const auto before = [](const PreparedRequest& r, int64_t line) { return r.line_idx < line; };
  const auto after = [](int64_t line, const PreparedRequest& r) { return line < r.line_idx; };
  const int64_t line = requests[request].line_idx;
  const auto first = std::lower_bound(requests.begin(), requests.end(), line, before);
  const auto end = std::upper_bound(first, requests.end(), line, after);
  return {static_cast<int32_t>(first - requests.begin()), static_cast<int32_t>(end - first)};
}

KeptLine kept_line(const PreparedJob& prepared, int32_t request) {
  const PreparedRequest& r = prepared.requests[request];
  LineText text = prepared.texts.get(r.text_at);
  Request whole;
  whole.id = std::move(text.id);
  whole.id_is_integer = r.id_is_integer;
  whole.kind = r.kind;
  whole.params = prepared.parameters_of(request).params;
  whole.embedding = prepared.parameters_of(request).embedding;
  whole.model = prepared.model_names[r.model];
  whole.metadata = std::move(text.metadata);
  whole.beside_body = std::move(text.beside_body);
  return {std::move(whole), std::move(text.echoed_text)};
}

PreparedJob prepare_job(RequestReader reader, const TextModel& text, const RunConfig& config,
                        ThreadPool& pool, const PrepareHooks& hooks) {
  PreparedJob job;
  ModelIndex models;
  int64_t n_requests = 0;
  const auto on_line = [&](ReadLine& line) {
    if (is_finished(line, hooks.finished)) {
      count_finished(line, job);
    } else if (Request* request = std::get_if<Request>(&line.read); request == nullptr) {
      hooks.on_failure(std::get<LineError>(line.read), job.n_lines);
    } else if (n_requests == hooks.max_requests) {
      ++job.n_left_out;
    } else {
      job.extra_fields.add(*request);
      add_request(*request, line, text, config, models, job);
      ++n_requests;
    }
    ++job.n_lines;
  };
  LineReading reading{&text, &config, on_line,
                      [&] { hooks.on_progress(job.n_lines, job.prompts.n_tokens()); }};
  reading.finished = hooks.finished;
  reading.should_stop = hooks.should_stop;
  job.is_whole = read_lines(reader, pool, reading);
  job.inputs = reader.digests();
  return job;
}

// Equal prompts of one adapter end at one node, so only those need to be compared.
void find_repeats(PreparedJob& prepared, const PrefixTree& tree) {
  std::vector<PreparedRequest>& requests = prepared.requests;
  const auto what_decides = [&](int32_t i) {
    const PreparedRequest& r = requests[i];
    const bool greedy = is_greedy(prepared.parameters_of(i).params);
    return std::tuple(r.parameters, r.max_tokens, greedy ? 0 : r.key);
  };
  std::vector<int32_t> same_prompt;
  for (size_t v = 1; v < tree.nodes.size(); ++v) {
    const bool has_child = static_cast<int32_t>(v) + 1 < tree.nodes[v].subtree_end;
    const int32_t end = has_child ? tree.nodes[v + 1].first : tree.nodes[v].last;
    if (end - tree.nodes[v].first < 2) continue;
    same_prompt.assign(tree.order.begin() + tree.nodes[v].first, tree.order.begin() + end);
    std::erase_if(same_prompt, [&](int32_t i) {
      return !requests[i].has_seed && !is_greedy(prepared.parameters_of(i).params);
    });
    std::stable_sort(same_prompt.begin(), same_prompt.end(),
                     [&](int32_t a, int32_t b) { return what_decides(a) < what_decides(b); });
    for (size_t i = 1; i < same_prompt.size(); ++i) {
      const int32_t before = same_prompt[i - 1];
      if (what_decides(before) != what_decides(same_prompt[i])) continue;
      requests[same_prompt[i]].leader = requests[before].leader;
      requests[before].next_repeat = same_prompt[i];
    }
  }
}

int32_t wanted_score_top(const SamplingParams& params) {
  int32_t top = params.prompt_logprobs.value_or(-1);
  if (params.echo && params.logprobs) top = std::max(top, *params.logprobs);
  return top;
}

std::vector<int64_t> predicted_decode_tokens(const PreparedJob& prepared, const PrefixTree& tree,
                                             const LengthsByGroup& prior) {
  const LengthPredictor lengths(prior);
  const std::vector<int32_t> groups = prefix_groups(tree, LengthDistribution::kEnough);
  std::vector<int64_t> tokens(prepared.prompts.size(), 0);
  for (size_t i = 0; i < prepared.requests.size(); ++i) {
    const PreparedRequest& r = prepared.requests[i];
    if (r.leader != static_cast<int32_t>(i)) continue;
    const ParameterSet& set = prepared.parameters_of(r.leader);
    const int32_t group = group_of_node(tree, groups, tree.node_of_prompt[i]);
    const int64_t n_tokens =
        set.params.ignore_eos ? r.max_tokens : lengths.predict(group, 0, r.max_tokens);
    tokens[i] += set.n_computed * std::max<int64_t>(n_tokens - 1, 0);
  }
  return tokens;
}

Job make_job(PreparedJob& prepared, const PrefixTree& tree, Pooling pooling) {
  Job job;
  job.prompts = prepared.prompts.prompts();
  job.tree = &tree;
  job.score_top.assign(prepared.requests.size(), -1);
  job.pooling = pooling;
  int64_t n_sequences = 0;
  for (int32_t i = 0; i < static_cast<int32_t>(prepared.requests.size()); ++i) {
    if (prepared.requests[i].leader == i) n_sequences += prepared.parameters_of(i).n_computed;
  }
  job.sequences.reserve(n_sequences);
  for (int32_t i = 0; i < static_cast<int32_t>(prepared.requests.size()); ++i) {
    PreparedRequest& r = prepared.requests[i];
    if (r.leader != i) continue;
    const ParameterSet& set = prepared.parameters_of(i);
    job.score_top[i] = wanted_score_top(set.params);
    if (set.embedding) {
      job.embeds.resize(prepared.requests.size(), false);
      job.embeds[i] = true;
    }
    r.first_sequence = static_cast<int32_t>(job.sequences.size());
    for (int32_t choice = 0; choice < set.n_computed; ++choice) {
      job.sequences.push_back(
          {i, r.max_tokens, &set.params, set.stop_ids, sampling_key(r.key, choice)});
    }
  }
  return job;
}

}  // namespace prefold
