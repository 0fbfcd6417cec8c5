#include "run/resume.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cache/block_table.h"
#include "report/human_numbers.h"
#include "run/answer_options.h"
#include "run/model_digest.h"

namespace prefold {

Journal journal_of(const RunConfig& config, const ModelFile& model, int64_t now_unix_s) {
  Journal journal;
  journal.created_unix_s = now_unix_s;
  journal.model_digest = model_digest(model);
  journal.answers = answer_options(config);
  journal.max_model_len = config.max_model_len;
  journal.kv_blocks = config.n_kv_blocks;
  return journal;
}

void take_limits(const Journal& begun, RunConfig& config) {
  config.max_model_len = begun.max_model_len;
  config.max_line_blocks = begun.kv_blocks;
  if (config.options.kv_memory_bytes) return;
  // By default the pool depends on the memory that is free just now; lines may need the old one.
  const int64_t n_bytes = begun.kv_blocks * config.kv_bytes_per_block;
  const bool fits =
      config.backend == BackendKind::kCpu ||
      n_bytes <= config.gpu->free_bytes - config.gpu_memory.weights - config.gpu_memory.work;
  if (fits) config.n_kv_blocks = std::max(config.n_kv_blocks, begun.kv_blocks);
}

std::string what_is_kept(const JobOutput& output, const RunConfig& config) {
  const ResultScan& scan = output.scan();
  std::string text = fmt::format("resuming: {} lines are finished", output.finished().size());
  if (scan.n_torn_bytes > 0) {
    text += fmt::format("; {} bytes behind them, no whole line, are cut off", scan.n_torn_bytes);
  }
  if (scan.n_torn_lines > 0) {
    text += fmt::format(", with {} lines behind the damage, which are computed again",
                        scan.n_torn_lines);
  }
  if (!is_deterministic(config)) {
    text +=
        "\nthe other answers may differ from those of an uninterrupted run: on a GPU they depend "
        "on the batch without --deterministic";
  }
  return text;
}

void check_what_is_kept(const JobOutput& output, const PreparedJob& prepared,
                        const RunConfig& config) {
  const std::string& path = config.options.output;
  if (output.job().ordered && prepared.n_finished_in_order < output.scan().n_lines) {
    throw Error(fmt::format(
        "cannot resume: {} does not hold the results of the first {} lines of input; expected "
        "them, since the job was begun with --ordered",
        path, output.scan().n_lines));
  }
  const auto bytes_of = [&](int64_t n_blocks) {
    return human_bytes(n_blocks * config.kv_bytes_per_block);
  };
  for (int32_t i = 0; i < prepared.n_requests(); ++i) {
    const auto n_tokens =
        static_cast<int32_t>(prepared.prompts[i].size()) + prepared.specs[i].max_tokens;
    const int32_t n_blocks = blocks_for(n_tokens, kKvBlockTokens);
    if (n_blocks <= config.n_kv_blocks) continue;
    throw Error(fmt::format(
        "cannot resume {}: the request {} needs {} of KV cache, which the run that began the job "
        "had; this one has {}: give it more (--kv-memory)",
        path, kept_line(prepared, i).request.id, bytes_of(n_blocks), bytes_of(config.n_kv_blocks)));
  }
}

}  // namespace prefold
