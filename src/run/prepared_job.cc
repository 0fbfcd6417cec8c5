#include "run/prepared_job.h"

#include <algorithm>
#include <tuple>

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

void add_request(Request& request, const ReadLine& line, const TextModel& text,
                 const RunConfig& config, PreparedJob& job) {
  SamplingParams& params = request.params;
  const auto line_idx = static_cast<int32_t>(job.n_lines);
  CHECK(line_idx == job.n_lines);  // they would not fit memory by far
  LineText kept{request.id,
                request.id_is_integer,
                std::move(request.metadata),
                std::move(request.beside_body),
                {}};
  std::string* echoed = params.echo ? std::get_if<std::string>(&request.prompt) : nullptr;
  if (echoed != nullptr) kept.echoed_text = std::move(*echoed);

  PromptSpec spec;
  spec.key = request_key(params.seed, config.options.seed, request.id);
  spec.max_tokens = *params.max_tokens;
  const bool same_choices = config.options.sharing == Sharing::kTree && is_greedy(params);
  ParameterSet set;
  set.stop_ids = stop_ids_of(params, text);
  set.n_computed = same_choices ? 1 : params.n;
  set.embedding = request.embedding;
  set.has_seed = params.seed.has_value();
  set.kind = request.kind;
  set.model = std::move(request.model);
  set.params = std::move(params);
  set.params.max_tokens.reset();
  set.params.seed.reset();
  spec.parameters = job.parameters.add(std::move(set));
  for (size_t i = 0; i < line.prompts.size(); ++i) {
    if (!config.options.lora.empty()) job.adapters.push_back(line.adapter);
    job.prompts.add(line.prompts[i]);
    i == 0 ? job.texts.add(kept) : job.texts.add_again();
    job.line_of.push_back(line_idx);
    job.specs.push_back(spec);
  }
}

const SharedAnswer* find_shared(const PreparedJob& job, int32_t request) {
  const auto found = std::ranges::lower_bound(job.shared, request, {}, &SharedAnswer::request);
  return found != job.shared.end() && found->request == request ? &*found : nullptr;
}

}  // namespace

int32_t PreparedJob::leader_of(int32_t request) const {
  const SharedAnswer* answer = find_shared(*this, request);
  return answer == nullptr ? request : answer->leader;
}

int32_t PreparedJob::next_with_same_answer(int32_t request) const {
  const SharedAnswer* answer = find_shared(*this, request);
  return answer == nullptr ? SharedAnswer::kNoNext : answer->next;
}

LineParts parts_of_line(const PreparedJob& prepared, int32_t request) {
  if (prepared.parameters_of(request).kind != LineKind::kOpenAiEmbedding) return {request, 1};
  const std::vector<int32_t>& lines = prepared.line_of;
  const auto [first, end] = std::equal_range(lines.begin(), lines.end(), lines[request]);
  return {static_cast<int32_t>(first - lines.begin()), static_cast<int32_t>(end - first)};
}

KeptLine kept_line(const PreparedJob& prepared, int32_t request) {
  const ParameterSet& set = prepared.parameters_of(request);
  LineText text = prepared.texts.get(request);
  Request whole;
  whole.id = std::move(text.id);
  whole.id_is_integer = text.id_is_integer;
  whole.kind = set.kind;
  whole.params = set.params;
  whole.embedding = set.embedding;
  whole.model = set.model;
  whole.metadata = std::move(text.metadata);
  whole.beside_body = std::move(text.beside_body);
  return {std::move(whole), std::move(text.echoed_text)};
}

PreparedJob prepare_job(RequestReader reader, const TextModel& text, const RunConfig& config,
                        ThreadPool& pool, const PrepareHooks& hooks) {
  PreparedJob job;
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
      add_request(*request, line, text, config, job);
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

namespace {

// By set: the same number for all whose answers to a prompt are the same, given max_tokens and key.
std::vector<int32_t> answer_classes(const ParameterSets& sets) {
  std::vector<int32_t> class_of_set;
  ParameterSets classes;
  for (int32_t i = 0; i < sets.size(); ++i) {
    ParameterSet set = sets[i];
    set.kind = LineKind::kShort;
    set.model.clear();
    set.has_seed = false;
    class_of_set.push_back(classes.add(std::move(set)));
  }
  return class_of_set;
}

}  // namespace

// Equal prompts of one adapter end at one node, so only those need to be compared.
void find_repeats(PreparedJob& prepared, const PrefixTree& tree) {
  const std::vector<int32_t> class_of_set = answer_classes(prepared.parameters);
  const auto what_decides = [&](int32_t i) {
    const PromptSpec& spec = prepared.specs[i];
    const bool greedy = is_greedy(prepared.parameters_of(i).params);
    return std::tuple(class_of_set[spec.parameters], spec.max_tokens, greedy ? 0 : spec.key);
  };
  std::vector<int32_t> same_prompt;
  for (size_t v = 1; v < tree.nodes.size(); ++v) {
    const bool has_child = static_cast<int32_t>(v) + 1 < tree.nodes[v].subtree_end;
    const int32_t end = has_child ? tree.nodes[v + 1].first : tree.nodes[v].last;
    if (end - tree.nodes[v].first < 2) continue;
    same_prompt.assign(tree.order.begin() + tree.nodes[v].first, tree.order.begin() + end);
    std::erase_if(same_prompt, [&](int32_t i) {
      const ParameterSet& set = prepared.parameters_of(i);
      return !set.has_seed && !is_greedy(set.params);
    });
    std::stable_sort(same_prompt.begin(), same_prompt.end(),
                     [&](int32_t a, int32_t b) { return what_decides(a) < what_decides(b); });
    for (size_t i = 1; i < same_prompt.size(); ++i) {
      const int32_t before = same_prompt[i - 1];
      if (what_decides(before) != what_decides(same_prompt[i])) continue;
      std::vector<SharedAnswer>& shared = prepared.shared;
      if (shared.empty() || shared.back().request != before) shared.push_back({before, before});
      shared.back().next = same_prompt[i];
      shared.push_back({same_prompt[i], shared.back().leader});
    }
  }
  std::ranges::sort(prepared.shared, {}, &SharedAnswer::request);
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
  for (int32_t i = 0; i < prepared.n_requests(); ++i) {
    if (prepared.leader_of(i) != i) continue;
    const ParameterSet& set = prepared.parameters_of(i);
    const int32_t max_tokens = prepared.specs[i].max_tokens;
    const int32_t group = group_of_node(tree, groups, tree.node_of_prompt[i]);
    const int64_t n_tokens =
        set.params.ignore_eos ? max_tokens : lengths.predict(group, 0, max_tokens);
    tokens[i] += set.n_computed * std::max<int64_t>(n_tokens - 1, 0);
  }
  return tokens;
}

Job make_job(const PreparedJob& prepared, const PrefixTree& tree, Pooling pooling) {
  Job job;
  job.prompts = &prepared.prompts;
  job.specs = prepared.specs;
  job.parameters = &prepared.parameters;
  job.tree = &tree;
  job.pooling = pooling;
  const int32_t n_requests = prepared.n_requests();
  size_t n_sequences = 0;
  for (int32_t i = 0; i < n_requests; ++i) {
    if (prepared.leader_of(i) == i) n_sequences += prepared.parameters_of(i).n_computed;
  }
  job.sequences.reserve(n_sequences);
  for (const int32_t i : tree.order) {
    if (prepared.leader_of(i) != i) continue;
    const ParameterSet& set = prepared.parameters_of(i);
    if (const int32_t top = wanted_score_top(set.params); top >= 0) {
      job.score_top.resize(n_requests, -1);
      job.score_top[i] = static_cast<int8_t>(top);
    }
    if (set.embedding) {
      job.embeds.resize(n_requests, false);
      job.embeds[i] = true;
    }
    for (int32_t choice = 0; choice < set.n_computed; ++choice) {
      job.sequences.push_back({i, choice});
    }
  }
  return job;
}

}  // namespace prefold
