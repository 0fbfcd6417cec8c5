// What a run says while it goes on (report/note.h), apart from how it gets to know it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/prefix_tree.h"
#include "report/note.h"
#include "run/cost_store.h"
#include "run/options.h"
#include "run/prepared_job.h"

namespace prefold {

Note plan_note(const PreparedJob& prepared, const PrefixStats& stats);

Note extra_fields_note(const ExtraFieldCounts& fields);

// origin: "known from", "measured, kept in". seconds: that it took.
Note costs_note(const ChosenCosts& costs, const std::string& origin, double seconds,
                int32_t token_budget);

// Warnings of what adapters name and have not, in the order of --lora.
std::vector<Note> adapter_notes(const ModelFile& model, const std::vector<LoraOption>& lora);

// None: on the CPU, and there is nothing to say about that.
std::optional<Note> device_note(const RunConfig& config);

}  // namespace prefold
