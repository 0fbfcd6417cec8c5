// Where a run's cost model comes from: a file that the user names, the cache of earlier runs, or a
// measurement, which is then cached.
#pragma once

#include <filesystem>
#include <optional>

#include "model/model_file.h"
#include "plan/cost_model.h"
#include "run/kept_json.h"
#include "run/options.h"

namespace prefold {

enum class CostSource { kFile, kCache, kMeasured, kBuiltIn };

struct ChosenCosts {
  CostModel model;
  CostSource source = CostSource::kMeasured;
  std::filesystem::path path;  // the file read, or where a measurement was written; may be empty
};

// For the report: where the costs come from, and the costs (plan/cost_model.h).
nlohmann::ordered_json to_json(const ChosenCosts& costs);

// All that a measurement depends on: our version, processor, instruction set, threads, precision,
// KV type, and the types and shapes of the tensors. Equal keys have interchangeable costs. Of the
// CPU: on a GPU nothing is measured, so nothing is kept.
nlohmann::ordered_json cost_key(const ModelFile& model, const RunConfig& config);

// --cost-model's file if one is named, else (on the CPU) the cached costs; none if there are none.
// A file in the cache that is broken or holds another key's costs is warned of and left aside.
// Throws Error if the named file cannot be read, FormatError if it is no cost model.
std::optional<ChosenCosts> find_costs(const RunConfig& config, const nlohmann::ordered_json& key,
                                      const std::filesystem::path& folder, const WarnFn& warn);

// Writes measured costs to the cache: whole or not at all. An empty folder keeps nothing.
ChosenCosts store_costs(const CostModel& model, const nlohmann::ordered_json& key,
                        const std::filesystem::path& folder, const WarnFn& warn);

}  // namespace prefold
