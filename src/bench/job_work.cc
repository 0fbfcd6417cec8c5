#include "bench/job_work.h"

#include <algorithm>

namespace prefold {
namespace {

// Rows at positions [begin, end).
void add_rows(JobWork& work, int64_t begin, int64_t end) {
  work.rows += end - begin;
  work.attended += (begin + 1 + end) * (end - begin) / 2;
}

}  // namespace

JobWork work_of(const Job& job) {
  JobWork work;
  for (const PrefixNode& node : job.tree->nodes) add_rows(work, node.depth_begin, node.depth_end);
  for (const SequenceSpec& spec : job.sequences) {
    const int64_t n_prompt = std::ssize(job.prompts[spec.prompt]);
    work.longest = std::max(work.longest, n_prompt + spec.max_tokens);
    work.sampled += spec.max_tokens;
    if (spec.max_tokens > 0) add_rows(work, n_prompt, n_prompt + spec.max_tokens - 1);
  }
  return work;
}

double flops_of(const JobWork& work, const ModelConfig& model) {
  const double hidden = model.hidden_size;
  const double q_size = double{1} * model.n_heads * model.head_dim;
  const double kv_size = double{1} * model.n_kv_heads * model.head_dim;
  const double ffn_matrices = model.has_gate ? 3.0 : 2.0;
  const double layer_parameters =
      hidden * (2 * q_size + 2 * kv_size + ffn_matrices * model.ffn_size);
  return 2 * model.n_layers * layer_parameters * static_cast<double>(work.rows) +
         4 * model.n_layers * q_size * static_cast<double>(work.attended) +
         2 * hidden * model.vocab_size * static_cast<double>(work.sampled);
}

}  // namespace prefold
