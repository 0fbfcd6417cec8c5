#include "plan/plan_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace prefold {
namespace {

struct SharedNode {
  int32_t node = 0;
  int64_t n_saved = 0;  // tokens, here and in the shared prefixes nested in it
};

// All nodes with at least two prompts, in tree order. The root has no tokens and is none of them.
std::vector<SharedNode> shared_nodes(const PrefixTree& tree) {
  std::vector<int64_t> n_saved(tree.nodes.size());
  for (size_t v = tree.nodes.size(); v-- > 1;) {
    const PrefixNode& node = tree.nodes[v];
    n_saved[v] += int64_t{node.n_tokens()} * (node.n_prompts() - 1);
    n_saved[node.parent] += n_saved[v];
  }
  std::vector<SharedNode> shared;
  for (size_t v = 1; v < tree.nodes.size(); ++v) {
    if (tree.nodes[v].n_prompts() >= 2) shared.push_back({static_cast<int32_t>(v), n_saved[v]});
  }
  return shared;
}

bool saves_more(const SharedNode& a, const SharedNode& b) {
  return a.n_saved != b.n_saved ? a.n_saved > b.n_saved : a.node < b.node;
}

// Puts the rows, best first, into reading order: after each row the rows nested in it.
struct Row {
  int32_t node = 0;
  int64_t n_saved = 0;
  int32_t level = 0;
};

std::vector<Row> reading_order(const PrefixTree& tree, const std::vector<SharedNode>& best) {
  std::vector<Row> rows;
  // A node saves no less than those nested in it and comes before them in the tree, so its row is
  // there when theirs are placed: at the end of its block, since `best` is in falling order.
  for (const SharedNode& shared : best) {
    const int32_t parent = tree.nodes[shared.node].parent;
    auto place =
        std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.node == parent; });
    const int32_t level = place == rows.end() ? 0 : place->level + 1;
    if (place != rows.end()) ++place;
    place = std::find_if(place, rows.end(), [&](const Row& row) { return row.level < level; });
    rows.insert(place, {shared.node, shared.n_saved, level});
  }
  return rows;
}

std::string render_totals(const PrefixTree& tree) {
  const PrefixStats stats = prefix_stats(tree);
  std::string text;
  const auto line = [&](const char* label, const std::string& value, const std::string& note) {
    text += fmt::format("{:<18}{:>16}{}\n", label, value, note);
  };
  line("prompts", grouped(stats.n_prompts), "");
  line("prompt tokens", grouped(stats.n_prompt_tokens), "");
  line("tokens to compute", grouped(stats.n_tree_tokens),
       fmt::format("   {:.1f} % saved", stats.saved_percent));
  std::string note;
  if (stats.n_shared_nodes > 0) {
    note = fmt::format("   {:.1f} prompts to a shared token, {:.1f} shared tokens to a prompt",
                       stats.mean_sharing_degree, stats.mean_shared_tokens);
  }
  line("shared prefixes", grouped(stats.n_shared_nodes), note);
  return text;
}

}  // namespace

std::string grouped(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string render_plan_table(const PrefixTree& tree, int32_t max_rows,
                              const std::function<std::string(int32_t node)>& preview) {
  std::string text = render_totals(tree);
  std::vector<SharedNode> shared = shared_nodes(tree);
  const int64_t n_shown = std::min<int64_t>(std::max(max_rows, 0), std::ssize(shared));
  if (n_shown == 0) return text;

  const int64_t n_left = std::ssize(shared) - n_shown;
  std::partial_sort(shared.begin(), shared.begin() + n_shown, shared.end(), saves_more);
  shared.resize(n_shown);
  text += fmt::format("\n{:>12}{:>15}{:>14}   {}\n", "tokens saved", "prefix length", "prompts",
                      "text");
  for (const Row& row : reading_order(tree, shared)) {
    const PrefixNode& node = tree.nodes[row.node];
    text +=
        fmt::format("{:>12}{:>15}{:>14}   {:{}}{}\n", grouped(row.n_saved), grouped(node.depth_end),
                    grouped(node.n_prompts()), "", 2 * row.level, preview(row.node));
  }
  if (n_left > 0) text += fmt::format("... and {} more\n", grouped(n_left));
  return text;
}

}  // namespace prefold
