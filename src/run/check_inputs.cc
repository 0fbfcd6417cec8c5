#include "run/check_inputs.h"

#include <algorithm>
#include <ctime>
#include <optional>

#include "run/line_batches.h"

namespace prefold {
namespace {

// What of a run's configuration decides about lines, where the model's context alone is the limit.
RunConfig config_without_limits(const ModelFile& model) {
  RunConfig config;
  config.defaults = resolve_defaults({}, model.generation);
  config.max_model_len = model.config.context_length;
  config.n_kv_blocks = config.max_line_blocks = INT32_MAX;
  return config;
}

}  // namespace

CheckCounts check_inputs(const std::vector<std::string>& paths, const ModelFile* model,
                         const std::vector<LoraOption>& lora, ThreadPool& pool,
                         const CheckHooks& hooks) {
  std::optional<TextModel> text;
  RunConfig config;
  if (model != nullptr) {
    text.emplace(make_text_model(*model, std::time(nullptr)));
    config = config_without_limits(*model);
    config.options.lora = lora;
  }
  CheckCounts counts;
  LineReading reading;
  if (text) {
    reading.text = &*text;
    reading.config = &config;
  }
  reading.on_line = [&](ReadLine& line) {
    counts.n_lines += 1;
    if (const auto* error = std::get_if<LineError>(&line.read)) {
      counts.n_bad_lines += 1;
      const auto tell = [&](const RequestFailure& problem) {
        counts.problems[problem.code] += 1;
        hooks.on_problem(problem);
      };
      tell(error->failure);
      for (const RequestFailure& problem : error->further) tell(problem);
      return;
    }
    counts.extra_fields.add(std::get<Request>(line.read));
    for (const std::vector<int32_t>& prompt : line.prompts) {
      counts.n_prompt_tokens += std::ssize(prompt);
      counts.longest_prompt = std::max<int64_t>(counts.longest_prompt, std::ssize(prompt));
    }
  };
  reading.on_batch = [&] { hooks.on_progress(counts); };
  RequestReader reader(paths, config.defaults);
  read_lines(reader, pool, reading);
  return counts;
}

}  // namespace prefold
