// Random models that have among them every feature of ModelConfig, on the CUDA engine against plain
// loops in double.
#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "cuda/cuda_engine.h"
#include "cuda/gpu_fixture.h"
#include "plain_model.h"
#include "temp_file.h"

namespace prefold::cuda {
namespace {

struct FeatureModel {
  std::string name;
  ModelConfig config;
  std::set<std::string> without;  // kinds of tensors that it does not have
  std::string quantised = {};     // part of the names of matrices in Q8_0; empty: none
};

RopeConfig rope(RopeKind kind, double theta, int32_t rotary_dim) {
  RopeConfig config;
  config.kind = kind;
  config.theta = theta;
  config.rotary_dim = rotary_dim;
  return config;
}

ModelConfig small_config(int32_t n_layers) {
  ModelConfig config;
  config.architecture = "test";
  config.n_layers = n_layers;
  config.hidden_size = 64;
  config.n_heads = 4;
  config.n_kv_heads = 2;
  config.head_dim = 16;
  config.ffn_size = 96;
  config.vocab_size = 72;
  config.context_length = 512;
  config.layers.resize(static_cast<size_t>(n_layers));
  config.ropes = {rope(RopeKind::kHalf, 10000.0, 16)};
  config.norm_eps = 1e-5f;
  config.attention_scale = 0.25f;
  return config;
}

const std::set<std::string> kNoBiases = {"attn_q.bias",      "attn_k.bias",   "attn_v.bias",
                                         "attn_output.bias", "ffn_gate.bias", "ffn_up.bias",
                                         "ffn_down.bias",    "norm bias",     "output.bias"};

std::set<std::string> without(std::set<std::string> all, std::initializer_list<const char*> kept) {
  for (const char* name : kept) all.erase(name);
  return all;
}

// As gemma 3, with what gemma 2 has besides.
FeatureModel gemma() {
  ModelConfig config = small_config(3);
  config.has_post_norm = true;
  config.qk_norm = QkNorm::kHead;
  config.activation = Activation::kGeluTanh;
  config.attention_softcap = 3.0f;
  config.embedding_scale = 8.0f;
  config.logit_softcap = 4.0f;
  config.tied_embeddings = true;
  config.ropes.push_back(rope(RopeKind::kHalf, 100.0, 16));
  config.layers[0] = {.window = 40, .rope_idx = 1};
  config.layers[2] = {.window = 40, .rope_idx = 1};
  return {"gemma", config, kNoBiases};
}

FeatureModel gpt2() {
  ModelConfig config = small_config(2);
  config.norm_kind = NormKind::kLayer;
  config.ropes.clear();
  for (LayerConfig& layer : config.layers) layer.rope_idx = -1;
  config.has_position_embedding = true;
  config.has_gate = false;
  config.activation = Activation::kGelu;
  config.tied_embeddings = true;
  return {"gpt2", config, {"output.bias"}};
}

// gpt_neox and phi: side by side, with a norm each or one for both.
FeatureModel parallel(bool has_parallel_norm) {
  ModelConfig config = small_config(2);
  config.norm_kind = NormKind::kLayer;
  config.is_parallel = true;
  config.has_parallel_norm = has_parallel_norm;
  config.has_gate = !has_parallel_norm;
  config.activation = has_parallel_norm ? Activation::kRelu : Activation::kSilu;
  config.ropes[0].rotary_dim = 8;
  config.logit_scale = 0.5f;
  return {has_parallel_norm ? "parallel, two norms" : "parallel, one norm", config, {}};
}

FeatureModel olmo2() {
  ModelConfig config = small_config(2);
  config.has_pre_norm = false;
  config.has_post_norm = true;
  config.qk_norm = QkNorm::kRow;
  return {"olmo2", config, kNoBiases};
}

// As stablelm's and cohere's larger models: weights of its own for each head, fewer for keys.
FeatureModel norm_each_head() {
  ModelConfig config = small_config(2);
  config.norm_kind = NormKind::kLayer;
  config.qk_norm = QkNorm::kEachHead;
  return {"norms of each head", config, {}};
}

// With biases of q, k and v as qwen2 has them, and a layer without positions as in smollm3.
FeatureModel olmo() {
  ModelConfig config = small_config(2);
  config.norm_kind = NormKind::kLayer;
  config.qkv_clip = 0.75f;
  config.layers[1].rope_idx = -1;
  config.ropes[0].kind = RopeKind::kInterleaved;
  std::set<std::string> missing = without(kNoBiases, {"attn_q.bias", "attn_k.bias", "attn_v.bias"});
  missing.insert("norm weight");
  return {"olmo", config, missing};
}

FeatureModel granite() {
  ModelConfig config = small_config(2);
  config.embedding_scale = 6.0f;
  config.residual_scale = 0.22f;
  config.logit_scale = 0.25f;
  config.attention_scale = 0.1f;
  return {"granite", config, without(kNoBiases, {"attn_output.bias", "ffn_down.bias"}), "attn_"};
}

// With a shared one: a layer without experts, and gates in another format than what they multiply.
FeatureModel experts(bool has_shared) {
  ModelConfig config = small_config(2);
  config.layers[1].is_moe = true;
  config.moe = {.n_experts = 11,
                .n_used = 3,
                .ffn_size = 32,
                .shared_ffn_size = has_shared ? 128 : 0,
                .has_shared_gate = has_shared,
                .normalise_weights = !has_shared};
  if (!has_shared) {
    config.layers[0] = {.window = 25, .is_moe = true};
    config.residual_scale = 0.5f;
  }
  if (has_shared) return {"experts, a shared one", config, kNoBiases, "ffn_gate."};
  return {"experts", config, kNoBiases, "ffn_"};
}

std::vector<FeatureModel> feature_models() {
  return {gemma(),          gpt2(), parallel(true), parallel(false), olmo2(),
          norm_each_head(), olmo(), granite(),      experts(true),   experts(false)};
}

// As Q8_0 has them; the values become those that are stored.
std::string quantise(std::vector<float>& values) {
  std::string bytes;
  for (size_t first = 0; first < values.size(); first += 32) {
    float most = 1e-6f;
    for (size_t i = 0; i < 32; ++i) most = std::max(most, std::fabs(values[first + i]));
    const uint16_t half = f32_to_f16(most / 127.0f);
    const float scale = f16_to_f32(half);
    bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
    for (size_t i = 0; i < 32; ++i) {
      const float quant = std::clamp(std::round(values[first + i] / scale), -127.0f, 127.0f);
      bytes.push_back(static_cast<char>(static_cast<int8_t>(quant)));
      values[first + i] = quant * scale;
    }
  }
  return bytes;
}

// The tensors in a file, as open_model would have found them. Of quantised ones the values change.
class StoredModel {
 public:
  StoredModel(const FeatureModel& feature, PlainTensors& tensors) : file_("") {
    const ModelConfig& config = feature.config;
    std::string all;
    for (const WantedTensor& wanted : wanted_tensors(config)) {
      const auto found = tensors.find(wanted.name);
      if (found == tensors.end()) continue;
      std::vector<float>& values = found->second;
      const bool is_quantised = !wanted.is_plain && !feature.quantised.empty() &&
                                wanted.name.find(feature.quantised) != std::string::npos;
      const std::string bytes = is_quantised
                                    ? quantise(values)
                                    : std::string(reinterpret_cast<const char*>(values.data()),
                                                  values.size() * sizeof(float));
      model_.tensors.push_back({wanted.name, is_quantised ? TensorType::kQ8_0 : TensorType::kF32,
                                wanted.shape, 0, all.size(), bytes.size()});
      all += bytes;
    }
    file_.write(all);
    model_.path = file_.path();
    model_.files.emplace_back(file_.path());
    model_.config = config;
    check_model_tensors(model_.path, config, model_.tensors);
  }

  const ModelFile& model() const { return model_; }

 private:
  TempFile file_;
  ModelFile model_;
};

// Rows [first, end) of two sequences as a step that scores each row's next token.
struct Sequence {
  std::vector<int32_t> ids;
  int32_t n_done = 0;
};

void add_rows(StepPlan& plan, Sequence& sequence, int32_t sequence_idx, int32_t n_rows) {
  const int32_t n_blocks = (sequence.n_done + n_rows + kKvBlockTokens - 1) / kKvBlockTokens;
  const int32_t first_row = plan.n_rows();
  const auto first_block = static_cast<int32_t>(plan.block_ids.size());
  plan.spans.push_back({first_row, n_rows, sequence.n_done, first_block, n_blocks});
  for (int32_t b = 0; b < n_blocks; ++b) plan.block_ids.push_back(2 * b + sequence_idx);
  for (int32_t i = 0; i < n_rows; ++i) {
    const auto position = static_cast<size_t>(sequence.n_done + i);
    plan.token_ids.push_back(sequence.ids[position]);
    plan.input_slots.push_back(0);
    plan.positions.push_back(sequence.n_done + i);
    plan.scores.push_back({first_row + i, sequence.ids[position + 1], 0});
  }
  sequence.n_done += n_rows;
}

// Differences of log-probabilities from the plain model's.
struct Errors {
  double largest = 0.0;
  double root_mean_square = 0.0;
};

Errors errors_of(const FeatureModel& feature, FloatType type) {
  constexpr int32_t kTokens = 96, kOtherTokens = 12, kPositions = 128;
  PlainTensors tensors = random_tensors(feature.config, feature.without, 17);
  std::mt19937 rng(3);
  std::vector<Sequence> sequences(2);
  for (int32_t s = 0; s < 2; ++s) {
    for (int32_t i = 0; i <= (s == 0 ? kTokens : kOtherTokens); ++i) {
      sequences[s].ids.push_back(static_cast<int32_t>(rng() % feature.config.vocab_size));
    }
  }

  const StoredModel stored(feature, tensors);
  const ModelConfig& config = stored.model().config;
  check_model(config);
  ThreadPool pool(1);
  const WeightPlan plan = plan_weights(stored.model(), type);
  DeviceArena arena(plan.n_bytes);
  const CudaWeights weights = upload_weights(stored.model(), type, pool, arena);
  CudaEngineOptions options;
  options.type = type;
  options.deterministic = true;
  options.token_budget = 64;
  options.n_positions = options.allowed_len = kPositions;
  options.n_kv_blocks = 2 * kPositions / kKvBlockTokens;
  options.max_slots = 1;
  options.max_items = 64;
  CudaEngine engine(options, config, weights, gpu());
  std::vector<std::vector<double>> found(2);
  // Prefill in chunks, then token by token: three times the same graph.
  for (const auto& [n_first, n_second] :
       {std::pair{40, 5}, {50, 3}, {3, 1}, {1, 1}, {1, 1}, {1, 1}}) {
    StepPlan step;
    add_rows(step, sequences[0], 0, n_first);
    add_rows(step, sequences[1], 1, n_second);
    engine.submit(step);
    const StepResult result = engine.wait();
    for (int32_t i = 0; i < n_first + n_second; ++i) {
      found[i < n_first ? 0 : 1].push_back(result.scores[static_cast<size_t>(i)].logprob);
    }
  }

  Errors errors;
  double squares = 0.0;
  for (size_t s = 0; s < 2; ++s) {
    CHECK(sequences[s].n_done == static_cast<int32_t>(sequences[s].ids.size()) - 1);
    const std::vector<int32_t> ids(sequences[s].ids.begin(), sequences[s].ids.end() - 1);
    PlainModel::Matrix expected = PlainModel(config, tensors, kPositions).logprobs(ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      const double wanted = expected.row(static_cast<int32_t>(i))[sequences[s].ids[i + 1]];
      const double error = std::fabs(found[s][i] - wanted);
      errors.largest = std::isnan(error) ? INFINITY : std::max(errors.largest, error);
      squares += error * error / (kTokens + kOtherTokens);
    }
  }
  errors.root_mean_square = std::sqrt(squares);
  return errors;
}

}  // namespace

TEST_CASE("CUDA engine: in f32, models of every feature equal plain loops") {
  for (const FeatureModel& feature : feature_models()) {
    CAPTURE(feature.name);
    CHECK(errors_of(feature, FloatType::kF32).largest < 1e-4);
  }
}

// Here and there a row whose logits are all but equal takes another expert.
TEST_CASE("CUDA engine: in f16, models of every feature come close to plain loops [smoke]") {
  for (const FeatureModel& feature : feature_models()) {
    CAPTURE(feature.name);
    CHECK(errors_of(feature, FloatType::kF16).root_mean_square < 0.03);
  }
}

}  // namespace prefold::cuda
