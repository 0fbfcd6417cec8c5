#include "run/run_notes.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/gguf.h"
#include "report/human_numbers.h"
#include "run/gpu.h"

namespace prefold {

Note plan_note(const PreparedJob& prepared, const PrefixStats& stats) {
  const int64_t n_lines = prepared.n_lines - prepared.n_finished;
  return {"plan",
          fmt::format("plan: {} requests, {} prompt tokens, {} of them distinct ({:.1f} % need not "
                      "be computed)",
                      n_lines, stats.n_prompt_tokens, stats.n_tree_tokens, stats.saved_percent),
          {{"requests", n_lines},
           {"prompt_tokens", stats.n_prompt_tokens},
           {"distinct_prompt_tokens", stats.n_tree_tokens}}};
}

Note extra_fields_note(const ExtraFieldCounts& fields) {
  return {"note", "unknown fields, passed through to the results: " + fields.to_text(), {}};
}

Note costs_note(const ChosenCosts& costs, const std::string& origin, double seconds,
                int32_t token_budget) {
  const nlohmann::ordered_json json = to_json(costs);
  const nlohmann::ordered_json fields = {{"source", json.at("source")},
                                         {"path", json.at("path")},
                                         {"seconds", seconds},
                                         {"max_num_batched_tokens", token_budget}};
  const std::string steps = fmt::format("steps of {} tokens", token_budget);
  if (costs.source == CostSource::kBuiltIn) {
    return {"costs",
            "costs: none are measured on a GPU, those of a CPU stand in (--cost-model); " + steps,
            fields};
  }
  return {"costs",
          fmt::format("costs: {} {} in {}; {}", origin,
                      costs.path.empty() ? "memory" : costs.path.string(), human_seconds(seconds),
                      steps),
          fields};
}

std::vector<Note> adapter_notes(const ModelFile& model, const std::vector<LoraOption>& lora) {
  std::vector<Note> notes;
  for (size_t i = 0; i < model.adapters.size(); ++i) {
    constexpr size_t kMostNames = 8;
    const std::vector<std::string>& absent = model.adapters[i].absent_targets;
    if (absent.empty()) continue;
    std::string names;
    for (size_t n = 0; n < std::min(absent.size(), kMostNames); ++n) {
      names += fmt::format("{}\"{}\"", n == 0 ? "" : ", ", printable(absent[n]));
    }
    if (absent.size() > kMostNames) names += ", ...";
    notes.emplace_back(fmt::format(
        "warning: adapter {}: its target_modules name {}, of which it has no tensors: these stay "
        "as the model has them",
        lora[i].name, names));
  }
  return notes;
}

std::optional<Note> device_note(const RunConfig& config) {
  if (!config.gpu) {
    if (!kHasCudaEngine || config.why_no_gpu.empty()) return std::nullopt;
    return Note{"device",
                fmt::format("device: the CPU; no GPU: {}", config.why_no_gpu),
                {{"device", "cpu"}}};
  }
  const GpuInfo& gpu = *config.gpu;
  const int64_t kv_bytes = config.n_kv_blocks * config.kv_bytes_per_block;
  return Note{"device",
              fmt::format("device: {}, compute capability {}.{}, {} of {} free; weights will take "
                          "{}, activations and tables {}, the KV cache {} at most",
                          gpu.name, gpu.cc_major, gpu.cc_minor, human_bytes(gpu.free_bytes),
                          human_bytes(gpu.memory_bytes), human_bytes(config.gpu_memory.weights),
                          human_bytes(config.gpu_memory.work), human_bytes(kv_bytes)),
              {{"device", "cuda"},
               {"name", gpu.name},
               {"memory_bytes", gpu.memory_bytes},
               {"free_bytes", gpu.free_bytes},
               {"weights_bytes", config.gpu_memory.weights},
               {"work_bytes", config.gpu_memory.work},
               {"kv_cache_bytes", kv_bytes}}};
}

}  // namespace prefold
