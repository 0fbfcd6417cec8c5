// The prefix forest as an icicle: a box for each node, as wide as it has prompts and as high as it
// has tokens, its children below it. So the area is what prompts hold, and each box is computed
// once.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/human_numbers.h"
#include "report/page/figures.h"
#include "report/page/svg.h"
#include "report/page/table.h"

namespace prefold {
namespace {

constexpr double kWidth = Chart::kWidth, kHeight = 300;
constexpr double kLeft = 56, kTop = 22, kRight = 8, kBottom = 10;
constexpr int kShades = 5;
constexpr size_t kTableRows = 24;

std::string count(double n) { return human_count(static_cast<int64_t>(n + 0.5)); }

// A node with its place on the axis of prompts.
struct Box {
  double first = 0;      // prompts to its left
  double n_listed = 0;   // prompts of its children so far
  double hidden_to = 0;  // tokens below it that the average prompt has that is not listed
};

std::vector<Box> place(const std::vector<ForestNode>& nodes) {
  std::vector<Box> boxes(nodes.size());
  for (size_t i = 1; i < nodes.size(); ++i) {
    Box& parent = boxes[static_cast<size_t>(nodes[i].parent)];
    boxes[i].first = parent.first + parent.n_listed;
    parent.n_listed += nodes[i].prompts;
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    const double n_hidden = nodes[i].prompts - boxes[i].n_listed;
    if (n_hidden > 0) boxes[i].hidden_to = nodes[i].hidden_tokens / n_hidden;
  }
  return boxes;
}

// 0: one prompt only; up to kShades the more prompts share it.
int shade(double n_prompts, double n_all) {
  if (n_prompts < 2 || n_all < 2) return 0;
  const double share = std::log(n_prompts) / std::log(n_all);
  return std::clamp(static_cast<int>(std::ceil(share * kShades)), 1, kShades);
}

class Icicle {
 public:
  Icicle(const ReportData& run) : nodes_(run.forest), boxes_(place(run.forest)) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      deepest_ = std::max(deepest_, nodes_[i].depth + nodes_[i].tokens + boxes_[i].hidden_to);
    }
  }

  std::string draw() {
    std::string body;
    for (const Tick& tick : count_ticks(std::max(deepest_, 1.0), 5, count)) {
      body += fmt::format(
          "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>"
          "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
          kLeft - 6, y(tick.value) + 4, tick.label, kLeft, kWidth - kRight, y(tick.value),
          y(tick.value));
    }
    body += "<text class=\"tick\" x=\"4\" y=\"12\">tokens from the start</text>";
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].tokens > 0) body += node(i);
      if (boxes_[i].hidden_to > 0) body += hidden(i);
    }
    return body;
  }

 private:
  double n_all() const { return std::max(nodes_[0].prompts, 1.0); }
  double x(double prompt) const {
    return kLeft + std::clamp(prompt / n_all(), 0.0, 1.0) * (kWidth - kLeft - kRight);
  }
  double y(double depth) const {
    return kTop +
           std::clamp(depth / std::max(deepest_, 1.0), 0.0, 1.0) * (kHeight - kTop - kBottom);
  }

  std::string rect(double left, double n, double top, double n_tokens, const std::string& css_class,
                   const std::string& tooltip) const {
    return fmt::format(
        "<rect class=\"box {}\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\">"
        "<title>{}</title></rect>",
        css_class, x(left), y(top), std::max(x(left + n) - x(left), 0.2),
        std::max(y(top + n_tokens) - y(top), 0.2), html_escaped(tooltip));
  }

  std::string node(size_t i) const {
    const ForestNode& node = nodes_[i];
    const int level = shade(node.prompts, n_all());
    std::string svg =
        rect(boxes_[i].first, node.prompts, node.depth, node.tokens, fmt::format("shade-{}", level),
             fmt::format("{} tokens at {} to {}, shared by {} prompts; the first is request {}",
                         count(node.tokens), count(node.depth), count(node.depth + node.tokens),
                         count(node.prompts), count(node.first_request)));
    const double width = x(boxes_[i].first + node.prompts) - x(boxes_[i].first);
    const double height = y(node.depth + node.tokens) - y(node.depth);
    const std::string words =
        fmt::format("{} tokens, {} prompts", count(node.tokens), count(node.prompts));
    if (width > 6.6 * static_cast<double>(words.size()) && height > 18) {
      svg += fmt::format("<text class=\"on-{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
                         level > 2 ? "dark" : "light", x(boxes_[i].first) + 6,
                         y(node.depth) + std::min(height / 2 + 4, 18.0), html_escaped(words));
    }
    return svg;
  }

  std::string hidden(size_t i) const {
    const ForestNode& node = nodes_[i];
    const double n = node.prompts - boxes_[i].n_listed;
    return rect(boxes_[i].first + boxes_[i].n_listed, n, node.depth + node.tokens,
                boxes_[i].hidden_to, "rest",
                fmt::format("{} more nodes with {} tokens, drawn at their mean length",
                            count(node.hidden_nodes), count(node.hidden_tokens)));
  }

  const std::vector<ForestNode>& nodes_;
  std::vector<Box> boxes_;
  double deepest_ = 0;
};

// The prefixes that save most.
std::vector<std::vector<std::string>> table_of(const std::vector<ForestNode>& nodes) {
  std::vector<const ForestNode*> shared;
  for (const ForestNode& node : nodes) {
    if (node.prompts >= 2 && node.tokens > 0) shared.push_back(&node);
  }
  const auto saved = [](const ForestNode& node) { return node.tokens * (node.prompts - 1); };
  std::stable_sort(shared.begin(), shared.end(),
                   [&](const ForestNode* a, const ForestNode* b) { return saved(*a) > saved(*b); });
  if (shared.size() > kTableRows) shared.resize(kTableRows);
  std::vector<std::vector<std::string>> rows{
      {"first request", "prompts", "at token", "tokens", "tokens saved"}};
  for (const ForestNode* node : shared) {
    rows.push_back({count(node->first_request), count(node->prompts), count(node->depth),
                    count(node->tokens), count(saved(*node))});
  }
  return rows;
}

}  // namespace

std::string forest_figure(const ReportData& run) {
  constexpr const char* kHeading = "What prompts share";
  if (run.forest.empty()) {
    return figure_section(kHeading, "This report does not tell; newer ones do.", "");
  }
  const std::string sentence =
      "Each box is a run of tokens: as wide as the prompts that have it, as high as its tokens, "
      "below "
      "those that come before it. It is computed once; the stronger its colour, the more prompts "
      "share it.";
  return figure_section(kHeading, sentence,
                        svg_picture(kWidth, kHeight, kHeading, sentence, Icicle(run).draw()) +
                            folded_table(table_of(run.forest)));
}

}  // namespace prefold
