#include "bench/job_work.h"

#include <algorithm>

namespace prefold {
namespace {

// Positions that rows at [begin, end) attend to in all, at most `window` each; 0: all before them.
int64_t attended_by(int64_t begin, int64_t end, int64_t window) {
  const auto up_to = [](int64_t p) { return p * (p + 1) / 2; };  // of rows [0, p), without a window
  if (window == 0) return up_to(end) - up_to(begin);
  const int64_t full = std::clamp(window, begin, end);  // rows from here on see a whole window
  return up_to(full) - up_to(begin) + (end - full) * window;
}

// Rows at positions [begin, end), read from first_read on.
void add_rows(JobWork& work, const ModelConfig& model, int64_t begin, int64_t end,
              int64_t first_read) {
  work.rows += end - begin;
  work.read += end - first_read;
  for (const LayerConfig& layer : model.layers) {
    const bool is_last = &layer == &model.layers.back();
    work.attended += attended_by(is_last ? first_read : begin, end, layer.window);
  }
}

// Whether a prompt that samples ends with the node.
bool is_read(const Job& job, const PrefixNode& node) {
  for (int32_t i = node.first; i < node.last; ++i) {
    const int32_t prompt = job.tree->order[i];
    if (std::ssize((*job.prompts)[prompt]) > node.depth_end) return false;
    if (job.specs[prompt].max_tokens > 0) return true;
  }
  return false;
}

// Columns of hidden_size weights that a row meets in a layer's feed-forward part: of experts only
// those that it takes.
double ffn_columns(const ModelConfig& model, int32_t layer) {
  const double matrices = model.has_gate ? 3.0 : 2.0;
  if (model.moe.n_experts == 0 || !model.layers[layer].is_moe) return matrices * model.ffn_size;
  const MoeConfig& moe = model.moe;
  return moe.n_experts + matrices * moe.n_used * moe.ffn_size + matrices * moe.shared_ffn_size;
}

}  // namespace

JobWork work_of(const Job& job, const ModelConfig& model) {
  JobWork work;
  for (const PrefixNode& node : job.tree->nodes) {
    const int32_t n_read = node.n_tokens() > 0 && is_read(job, node) ? 1 : 0;
    add_rows(work, model, node.depth_begin, node.depth_end, node.depth_end - n_read);
  }
  for (const SequenceSpec& sequence : job.sequences) {
    const PromptSpec& spec = job.specs[sequence.prompt];
    const int64_t n_prompt = std::ssize((*job.prompts)[sequence.prompt]);
    work.longest = std::max(work.longest, n_prompt + spec.max_tokens);
    work.sampled += spec.max_tokens;
    if (spec.max_tokens > 0) {
      add_rows(work, model, n_prompt, n_prompt + spec.max_tokens - 1, n_prompt);
    }
  }
  return work;
}

double flops_of(const JobWork& work, const ModelConfig& model) {
  const double hidden = model.hidden_size;
  const double q_size = double{1} * model.n_heads * model.head_dim;
  const double kv_size = double{1} * model.n_kv_heads * model.head_dim;
  const auto but_kv = [&](int32_t layer) {
    return hidden * (2 * q_size + ffn_columns(model, layer));
  };
  double layer_parameters = 0.0;
  for (int32_t layer = 0; layer < model.n_layers; ++layer) {
    layer_parameters += hidden * 2 * kv_size + but_kv(layer);
  }
  return 2 * layer_parameters * static_cast<double>(work.rows) -
         2 * but_kv(model.n_layers - 1) * static_cast<double>(work.rows - work.read) +
         4 * q_size * static_cast<double>(work.attended) +
         2 * hidden * model.vocab_size * static_cast<double>(work.sampled);
}

}  // namespace prefold
