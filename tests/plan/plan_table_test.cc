#include "plan/plan_table.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace prefold;

namespace {

std::string table_of(const std::vector<std::vector<int32_t>>& prompts, int32_t max_rows) {
  const PrefixTree tree = build_prefix_tree(PromptStore(prompts));
  return render_plan_table(tree, max_rows, [&](int32_t v) {
    const PrefixNode& node = tree.nodes[v];
    std::string text;
    for (int32_t i = node.depth_begin; i < node.depth_end; ++i) {
      text += static_cast<char>(prompts[node.representative][i]);
    }
    return text;
  });
}

std::vector<int32_t> tokens(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

TEST_CASE("the plan table lists the prefixes that save most, nested ones indented below theirs") {
  const std::vector<std::vector<int32_t>> prompts{
      tokens("xy1"),       tokens("xy2"), tokens("abcdef1"), tokens("abcdef2"), tokens("abcdefgh"),
      tokens("abcdefghi"), tokens("abc"), tokens("q"),       tokens("xy3z"),    tokens("xy3z"),
  };
  CHECK(table_of(prompts, 20) ==
        "prompts                         10\n"
        "prompt tokens                   49\n"
        "tokens to compute               18   63.3 % saved\n"
        "shared prefixes                  5   3.6 prompts to a shared token, 4.3 shared tokens to "
        "a prompt\n"
        "\n"
        "tokens saved  prefix length       prompts   text\n"
        "          23              3             5   abc\n"
        "          11              6             4     def\n"
        "           2              8             2       gh\n"
        "           8              2             4   xy\n"
        "           2              4             2     3z\n");
}

TEST_CASE("rows past the limit are counted, the best ones stay") {
  const std::vector<std::vector<int32_t>> prompts{
      tokens("ab"), tokens("ab"), tokens("cde"), tokens("cde"), tokens("f"), tokens("f"),
  };
  const std::string table = table_of(prompts, 2);
  CHECK(table.find("           3              3             2   cde\n"
                   "           2              2             2   ab\n"
                   "... and 1 more\n") != std::string::npos);
}

TEST_CASE("without shared prefixes there are only totals") {
  CHECK(table_of({tokens("ab"), tokens("c")}, 20) ==
        "prompts                          2\n"
        "prompt tokens                    3\n"
        "tokens to compute                3   0.0 % saved\n"
        "shared prefixes                  0\n");
  CHECK(table_of({}, 20).find("0.0 % saved") != std::string::npos);
}

TEST_CASE("large numbers are grouped by thousands") {
  const std::vector<int32_t> prompt(1'234'567, 'a');
  const std::vector<int32_t> prompts[] = {prompt, prompt};
  const PrefixTree tree = build_prefix_tree(PromptStore(prompts));
  const std::string table = render_plan_table(tree, 20, [](int32_t) { return "aaa..."; });
  CHECK(table.find("2,469,134\n") != std::string::npos);
  CHECK(table.find("   1,234,567      1,234,567             2   aaa...\n") != std::string::npos);
}
