#include "run/prepared_job.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "base/check.h"
#include "base/error.h"
#include "cache/block_table.h"
#include "plan/length.h"
#include "plan/prefix_groups.h"
#include "plan/sampling_key.h"

namespace prefold {
namespace {

// Lines are split off one by one, then parsed and tokenised on all threads, this many at a time or
// this many bytes.
constexpr size_t kLinesPerBatch = 512;
constexpr size_t kBytesPerBatch = size_t{8} << 20;

// A line while it is read.
struct BatchLine {
  std::string text;
  InputLine line;
  RequestOrError read;
  std::vector<std::vector<int32_t>> prompts;  // one, or those of an embedding line
};

RequestFailure failure_at(const Request& request, const RequestError& error) {
  return {error.code(),
          fmt::format("{}:{}: {}", request.source.file, request.source.line, error.what())};
}

using Prompts = std::vector<std::vector<int32_t>>;

struct Encode {
  const Request& request;
  const TextModel& text;

  Prompts operator()(const std::string& prompt) const { return {encode(prompt)}; }
  Prompts operator()(const std::vector<int32_t>& ids) const { return {encode(ids)}; }
  Prompts operator()(const ChatMessages& chat) const {
    return {text.tokenizer.encode(render_chat(text, chat), request.add_special_tokens, true)};
  }
  Prompts operator()(const EmbeddingInputs& inputs) const {
    Prompts prompts;
    for (const auto& input : inputs.inputs) {
      prompts.push_back(std::visit([&](const auto& it) { return encode(it); }, input));
    }
    return prompts;
  }

  std::vector<int32_t> encode(const std::string& prompt) const {
    return text.tokenizer.encode(prompt, request.add_special_tokens, true);
  }
  std::vector<int32_t> encode(const std::vector<int32_t>& ids) const {
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
  const int64_t n_blocks = blocks_for(static_cast<int32_t>(n_prompt) + max_tokens, kKvBlockTokens);
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

// Of a line's prompts: the same for the inputs of an embedding line, 0.
int32_t checked_max_tokens(const Request& request, const Prompts& prompts,
                           const RunConfig& config) {
  int32_t max_tokens = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    try {
      max_tokens = checked_max_tokens(request, std::ssize(prompts[i]), config);
    } catch (const RequestError& error) {
      if (prompts.size() == 1) throw;
      throw RequestError(error.code(), fmt::format("\"input[{}]\": {}", i, error.what()));
    }
  }
  return max_tokens;
}

// Throws RequestError unless this model's embeddings are as wanted.
void check_embedding(const EmbeddingParams& params, int32_t hidden_size) {
  if (params.dimensions.value_or(0) > hidden_size) {
    throw RequestError("invalid_value",
                       fmt::format("\"dimensions\" is {}; this model's embeddings have {}",
                                   *params.dimensions, hidden_size));
  }
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

// False when no line is left.
bool next_batch(RequestReader& reader, std::vector<BatchLine>& batch) {
  batch.clear();
  batch.reserve(kLinesPerBatch);
  size_t n_bytes = 0;
  InputLine line;
  while (batch.size() < kLinesPerBatch && n_bytes < kBytesPerBatch && reader.next_line(line)) {
    n_bytes += line.text.size();
    batch.push_back({std::string(line.text), line, {}, {}});
  }
  for (BatchLine& kept : batch) kept.line.text = kept.text;  // the texts have stopped moving
  return !batch.empty();
}

void read_and_tokenise(const RequestReader& reader, const TextModel& text, const RunConfig& config,
                       BatchLine& line) {
  line.read = reader.read(line.line);
  Request* request = std::get_if<Request>(&line.read);
  if (request == nullptr) return;
  try {
    check_token_ids_of(*request, text.tokenizer.vocab_size());
    if (request->embedding) check_embedding(*request->embedding, text.hidden_size);
    line.prompts = std::visit(Encode{*request, text}, request->prompt);
    request->params.max_tokens = checked_max_tokens(*request, line.prompts, config);
  } catch (const RequestError& error) {
    line.read = LineError{request->source, request->id, request->id_is_integer, request->kind,
                          failure_at(*request, error)};
  }
}

using ModelIndex = std::unordered_map<std::string, int32_t>;

void add_request(Request& request, const Prompts& prompts, const TextModel& text,
                 const RunConfig& config, ModelIndex& models, PreparedJob& job) {
  const auto idx = static_cast<int32_t>(job.requests.size());
  SamplingParams& params = request.params;
  PreparedRequest prepared;
  prepared.line_idx = job.n_lines;
  prepared.key = request_key(params.seed, config.options.seed, request.id);
  prepared.id_begin = static_cast<int64_t>(job.ids.size());
  prepared.id_bytes = static_cast<uint16_t>(request.id.size());
  CHECK(prepared.id_bytes == request.id.size());  // given ids and paths are far shorter
  const auto [model, is_new] =
      models.emplace(request.model, static_cast<int32_t>(job.model_names.size()));
  if (is_new) job.model_names.push_back(request.model);
  prepared.model = model->second;
  prepared.max_tokens = *params.max_tokens;
  prepared.kind = request.kind;
  prepared.id_is_integer = request.id_is_integer;
  prepared.has_seed = params.seed.has_value();
  std::string* echoed = params.echo ? std::get_if<std::string>(&request.prompt) : nullptr;
  if (!request.metadata.is_null()) job.rare[idx].metadata = std::move(request.metadata);
  if (echoed != nullptr) job.rare[idx].echoed_text = std::move(*echoed);

  const bool same_choices = config.options.sharing == Sharing::kTree && is_greedy(params);
  ParameterSet set;
  set.stop_ids = stop_ids_of(params, text);
  set.n_computed = same_choices ? 1 : params.n;
  set.embedding = request.embedding;
  set.params = std::move(params);
  set.params.max_tokens.reset();
  set.params.seed.reset();
  prepared.parameters = job.parameters.add(std::move(set));
  job.ids += request.id;
  for (const std::vector<int32_t>& ids : prompts) {
    prepared.leader = static_cast<int32_t>(job.requests.size());
    job.prompts.add(ids);
    job.requests.push_back(prepared);
  }
}

}  // namespace

TextModel make_text_model(const ModelFile& model, int64_t now_unix_s) {
  const TokenizerSpec& spec = model.tokenizer;
  TextModel text{Tokenizer(spec),
                 ChatTemplates(model.chat_format.templates),
                 model.chat_format.special_tokens,
                 {},
                 now_unix_s,
                 model.config.hidden_size};
  text.eos_ids = model.generation.stop_ids;
  for (const std::optional<int32_t>& id : {spec.eos_id, spec.eot_id}) {
    if (id) text.eos_ids.push_back(*id);
  }
  return text;
}

std::string render_chat(const TextModel& text, const ChatMessages& chat) {
  const ChatTemplate& chat_template = text.chat_templates.pick(!chat.tools.is_null());
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  variables["messages"] = chat.messages;
  variables["tools"] = chat.tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = chat.add_generation_prompt;
  for (const SpecialTokenName& token : text.special_tokens) variables[token.name] = token.spelling;
  if (chat.template_kwargs.is_object()) variables.update(chat.template_kwargs);
  return chat_template.render(variables, text.now_unix_s);
}

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

Request request_of(const PreparedJob& prepared, int32_t request) {
  const PreparedRequest& r = prepared.requests[request];
  Request whole;
  whole.id = prepared.ids.substr(r.id_begin, r.id_bytes);
  whole.id_is_integer = r.id_is_integer;
  whole.kind = r.kind;
  whole.params = prepared.parameters_of(request).params;
  whole.embedding = prepared.parameters_of(request).embedding;
  whole.model = prepared.model_names[r.model];
  const int32_t first = parts_of_line(prepared, request).first;
  if (const auto rare = prepared.rare.find(first); rare != prepared.rare.end()) {
    whole.metadata = rare->second.metadata;
  }
  return whole;
}

PreparedJob prepare_job(RequestReader reader, const TextModel& text, const RunConfig& config,
                        ThreadPool& pool, const PrepareHooks& hooks) {
  PreparedJob job;
  ModelIndex models;
  std::vector<BatchLine> batch;
  while (next_batch(reader, batch)) {
    pool.parallel_for(static_cast<int64_t>(batch.size()), [&](int64_t i, int32_t) {
      read_and_tokenise(reader, text, config, batch[i]);
    });
    for (BatchLine& line : batch) {
      reader.check_id(line.line.source, line.read);
      if (Request* request = std::get_if<Request>(&line.read)) {
        add_request(*request, line.prompts, text, config, models, job);
      } else {
        hooks.on_failure(std::get<LineError>(line.read), job.n_lines);
      }
      ++job.n_lines;
    }
    hooks.on_progress(job.n_lines, job.prompts.n_tokens());
  }
  return job;
}

// Equal prompts end at one node, so only those need to be compared.
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
