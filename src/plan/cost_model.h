// What a step costs on one machine, with one model's shapes. Numbers only: run/calibrate measures
// them, --cost-model reads them from a file, and the plan, which never reads the clock, takes them
// as given. They decide how work is arranged, never what is answered (I6).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plan/row_span.h"

namespace prefold {

inline constexpr const char* kCostModelSchema = "prefold-cost-model/1";

// Rows of a step where nothing is known about the machine.
inline constexpr int32_t kDefaultTokenBudget = 512;

// What n of something take together.
struct CostPoint {
  int32_t n = 0;
  double ns = 0;
};

// Points in rising order of n, at least one. Linear in between; below the first as the first;
// above the last in proportion to it.
using CostCurve = std::vector<CostPoint>;

double cost_at(const CostCurve& curve, double n);

// Attention of one layer, all KV heads, all threads.
struct AttentionCosts {
  // One KV tile (kKvBlockTokens positions) for so many pairs of a row and a query head that read
  // the same KV head. Few pairs cost little less than some more do: the tile has to be fetched, and
  // the registers are not filled. The last point is the most that the kernel takes at once.
  CostCurve tile_ns;
  // What a shared segment costs besides its tiles: its work items, and states handed on.
  double segment_ns = 0;
};

struct CostModel {
  AttentionCosts attention;
  CostCurve layer_ns;   // one layer but for its attention, by rows of the step
  CostCurve sample_ns;  // final norm and LM head, by rows whose logits are needed
};

// Of no machine in particular: SmolLM2-135M on two cores with AVX-512.
CostModel default_cost_model();

// One tile for any number of pairs: more than the kernel takes at once are cut into equal parts.
double tile_ns(const AttentionCosts& costs, int64_t n_pairs);

// All of a step's attention in one layer: the segments, and what they leave of each span to read by
// itself. n_group: query heads that share a KV head. window: positions that a row sees at most;
// 0: all.
double attention_ns(const AttentionCosts& costs, int32_t n_group, std::span<const RowSpan> spans,
                    std::span<const SharedSegment> segments, int32_t window = 0);

// The fewest rows, a multiple of 64, at which the rows per second of a step (all layers, and the
// logits of one row) have stopped growing: within 2 % of the most among the points of layer_ns from
// 256 on. kDefaultTokenBudget if the curve ends below it and is growing still.
int32_t best_token_budget(const CostModel& costs, int32_t n_layers);

// {"schema", "attention": {"tile_ns": [[pairs, ns], ...], "segment_ns"}, "layer_ns": [[rows, ns],
// ...], "sample_ns": [[rows, ns], ...]}. Other keys are left alone.
nlohmann::ordered_json to_json(const CostModel& costs);

// Throws FormatError naming `file`, the key, its value and what was wanted.
CostModel parse_cost_model(std::string_view text, const std::string& file);

}  // namespace prefold
