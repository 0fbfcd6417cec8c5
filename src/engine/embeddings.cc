#include "engine/embeddings.h"

#include <algorithm>

#include "base/check.h"
#include "base/timer.h"

namespace prefold {

void Embeddings::run(const StepPlan& plan, const StepHidden& hidden, Workspace& workspace,
                     StepResult& result, OpTimes& times) {
  if (plan.sums.empty() && plan.embeds.empty()) return;
  const Timer timer;
  const ConstRows& rows = hidden.rows;
  const Rows normed = normed_rows(config_, rows.n_rows, workspace);
  // Of the plan's rows [first_row, first_row + n_rows), which lie together. Where the first lies.
  const auto norm = [&](int32_t first_row, int32_t n_rows) {
    const int32_t first = hidden.place[first_row];
    final_norm(device_, config_, weights_, {rows.row(first), n_rows, rows.n_cols, rows.stride},
               {normed.row(first), n_rows, normed.n_cols, normed.stride});
    return first;
  };
  for (const SumRows& sum : plan.sums) norm(sum.first_row, sum.n_rows);
  add_rows(plan, hidden, normed);
  for (const EmbedRow& embed : plan.embeds) {
    if (embed.sum_slot == EmbedRow::kNoSum) {
      const float* row = normed.row(norm(embed.row, 1));
      result.embeds.emplace_back(row, row + normed.n_cols);
    } else {
      const std::vector<double>& sum = sums_.of(embed.sum_slot);
      result.embeds.emplace_back(sum.begin(), sum.end());
    }
  }
  times.elementwise += timer.seconds();
}

// Columns are cut into items, rows never.
void Embeddings::add_rows(const StepPlan& plan, const StepHidden& hidden, const Rows& normed) {
  constexpr int32_t kItemCols = 256;
  sums_.prepare(plan.sums, normed.n_cols);
  const int32_t n_blocks = (normed.n_cols + kItemCols - 1) / kItemCols;
  device_.pool->parallel_for(std::ssize(plan.sums) * n_blocks, [&](int64_t item, int32_t) {
    const SumRows& sum = plan.sums[item / n_blocks];
    const auto begin = static_cast<int32_t>(item % n_blocks) * kItemCols;
    sums_.add(sum, normed.row(hidden.place[sum.first_row]), normed.stride, begin,
              std::min(kItemCols, normed.n_cols - begin));
  });
}

}  // namespace prefold
