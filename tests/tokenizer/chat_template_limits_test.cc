// Templates come from files that nobody vetted: whatever they hold, they end soon and with one of
// our errors.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "tokenizer/chat_template.h"

using prefold::ChatTemplate;
using Json = nlohmann::ordered_json;

namespace {

const Json kVariables = {{"messages", {{{"role", "user"}, {"content", "héllo"}}}}, {"n", 3}};

std::string repeat(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

std::string render(const std::string& source) { return ChatTemplate(source).render(kVariables, 0); }

// The message of the FormatError that compiling throws, or what it did instead.
std::string compile_error(const std::string& source) {
  try {
    const ChatTemplate compiled(source);
  } catch (const prefold::FormatError& error) {
    return error.what();
  }
  return "(compiled)";
}

std::string render_error(const std::string& source) {
  try {
    return "(rendered " + std::to_string(render(source).size()) + " bytes)";
  } catch (const prefold::RequestError& error) {
    CHECK(error.code() == "template_error");
    return error.what();
  }
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("constructs that are not supported are named with their line when compiling") {
  CHECK(compile_error("a\nb{% include 'x' %}") ==
        "chat template, line 2: \"include\" is not supported");
  CHECK(holds(compile_error("{% import 'x' as y %}"), "\"import\" is not supported"));
  CHECK(holds(compile_error("{% extends 'x' %}"), "\"extends\" is not supported"));
  CHECK(holds(compile_error("{% block x %}{% endblock %}"), "\"block\" is not supported"));
  CHECK(
      holds(compile_error("\n\n{{ 'x' | urlize }}"), "line 3: filter \"urlize\" is not supported"));
  CHECK(holds(compile_error("{{ 'x' | frobnicate }}"), "no filter named \"frobnicate\""));
  CHECK(holds(compile_error("{% do x %}"), "unknown tag \"do\""));
  CHECK(holds(compile_error("{% if a %}\n{% for b in c %}"), "line 2: \"for\" is not closed"));
  CHECK(holds(compile_error("{{ 'a' "), "expected 'end of print statement'"));
  CHECK(holds(compile_error("\xff"), "UTF-8"));
}

TEST_CASE("errors while rendering name the line and keep the words of raise_exception") {
  CHECK(render_error("a\n{{ raise_exception('Only <user> & \"co\".') }}") ==
        "chat template, line 2: Only <user> & \"co\".");
  CHECK(render_error("\n\n{{ messages[0].nope.x }}") ==
        "chat template, line 3: 'dict object' has no attribute 'nope'");
  CHECK(render_error("{{ missing.x }}") == "chat template, line 1: 'missing' is undefined");
}

TEST_CASE(
    "a reasoning text is there under the names that templates use, and null members are not") {
  const Json variables = {{"messages",
                           {{{"role", "assistant"},
                             {"reasoning", "hm"},
                             {"content", nullptr},
                             {"tool_calls", nullptr}}}}};
  CHECK(ChatTemplate("{{ messages[0] | tojson }}").render(variables, 0) ==
        R"({"thinking": "hm", "role": "assistant", "reasoning": "hm", "reasoning_content": "hm"})");
}

TEST_CASE("deep nesting is refused when compiling, also where brackets are few") {
  for (const std::string open :
       {"(", "[", "{1:", "not ", "-", "x[", "f(", "1 if 1 else ", "x is eq "}) {
    CAPTURE(open);
    CHECK(holds(compile_error("{{ " + repeat(open, 50000)), "nested too deeply"));
  }
  for (const std::string chain :
       {".x", "[0]", "()", "|e", " + 1", " * 1", " ** 1", " and 1", " or 1"}) {
    CAPTURE(chain);
    CHECK(holds(compile_error("{{ 1" + repeat(chain, 100000) + " }}"), "nested too deeply"));
  }
  for (const std::string block :
       {"{% if 1 %}", "{% for i in x %}", "{% set x %}", "{% macro m() %}", "{% filter e %}",
        "{% with %}", "{% call m() %}"}) {
    CAPTURE(block);
    CHECK(holds(compile_error(repeat(block, 10000)), "nested too deeply"));
  }
  CHECK(render("{{ " + repeat("(", 60) + "1" + repeat(")", 60) + " }}") == "1");
  CHECK(render("{{ 1" + repeat(" + 1", 300) + " }}") == "301");
  CHECK(render("{{ 1" + repeat(" ~ 1", 20000) + " }}").size() == 20001);
  CHECK(render(repeat("{% if 0 %}{% elif 0 %}{% endif %}", 5000)).empty());
}

TEST_CASE("work, memory, output and numbers are bounded") {
  const std::vector<std::string> sources = {
      "{{ 'a' * 10**9 }}",
      "{{ 'a' * 9223372036854775807 }}",
      "{{ [0] * 10**12 }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ -(-9223372036854775807 - 1) }}",
      "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ 3037000500 * 3037000500 }}",
      "{{ 2 ** 64 }}",
      "{{ 2 ** 9223372036854775807 }}",
      "{{ range(10**9) | list }}",
      "{{ range(0, 9223372036854775807, 4611686018427387904) | list }}",
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
      "{% for i in range(100000) %}{{ 'a' * 10000 }}{% endfor %}",
      "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% "
      "endfor %}",
      "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% "
      "endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% "
      "endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = ns.x|map('abs') "
      "%}{% endfor %}{{ ns.x | list }}",
      "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = ns.x + ['a' * 9999] "
      "%}{% endfor %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro a(x) %}{{ b(x) }}{% endmacro %}{% macro b(x) %}{{ a(x) }}{% endmacro %}{{ a(1) }}",
      "{% macro m(x) %}{% if x %}{{ m(x - 1) }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
      "{% macro m() %}{{ " + repeat("1 + (", 70) + "m()" + repeat(")", 70) +
          " }}{% endmacro %}{{ m() }}",
      "{% macro m() %}" + repeat("{% if 1 %}", 200) + "{{ m() }}" + repeat("{% endif %}", 200) +
          "{% endmacro %}{{ m() }}",
      "{% macro m(x) %}{% call m(x) %}{{ caller() }}{% endcall %}{% endmacro %}{{ m(1) }}",
      "{% macro m(x) %}{{ [x] | map('map', 'string') | map('list') | list }}{{ m([x]) }}{% "
      "endmacro "
      "%}{{ m(1) }}",
      "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
      "{{ '%999999999d' % 1 }}",
      "{{ '%.999999999f' % 1.5 }}",
      "{{ '{:999999999}'.format(1) }}",
      "{{ '{:.999999999f}'.format(1.5) }}",
      "{{ 'x'.center(10**12) }}",
      "{{ 'x'.zfill(10**12) }}",
      "{{ '\t'.expandtabs(10**12) }}",
      "{{ 'x' | indent(10**12) }}",
      "{{ [1] | tojson(indent=10**12) }}",
      "{{ [1] | batch(10**12, 0) | list }}",
      "{{ [1] | slice(10**12) | list }}",
      "{{ ('a' * 30000000).replace('', 'b') }}",
      "{{ ('a' * 10000000).replace('a', 'bbbbbbbbbbbbbbb') }}",
      "{{ ('a' * 20000000) ~ ('a' * 20000000) }}",
      "{{ ('a' * 30000000).split('a') | length }}",
      "{{ ('<' * 30000000) | e }}",
      "{{ ('é' * 15000000) | tojson(ensure_ascii=true) }}",
  };
  for (const std::string& source : sources) {
    CAPTURE(source);
    const std::string message = render_error(source);
    CHECK_MESSAGE(message.rfind("chat template", 0) == 0, message);
  }
}

TEST_CASE("a search in hostile text takes linear time") {
  CHECK(render("{{ ('a' * 2000000).find('a' * 1000000 ~ 'b') }}") == "-1");
  CHECK(render("{{ ('b' ~ 'a' * 1000000) in 'a' * 2000000 }}") == "False");
  CHECK(render("{{ ('a' * 2000000).rfind('b' ~ 'a' * 1000000) }}") == "-1");
}

TEST_CASE("one template renders on several requests, and a moved one still does") {
  ChatTemplate first("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(messages[0].content) }}{{ n }}");
  CHECK(first.render(kVariables, 0) == "<héllo>3");
  const ChatTemplate second = std::move(first);
  CHECK(second.render(kVariables, 0) == "<héllo>3");
}

TEST_CASE("mutated templates end with text or with one of our errors") {
  std::vector<std::string> seeds;
  std::ifstream in("tests/data/templates/snippets.json");
  const Json oracle = Json::parse(in);
  for (const Json& entry : oracle["cases"]) seeds.push_back(entry["template"].get<std::string>());
  for (const char* name : {"llama3_tools", "qwen3_thinking", "command_r", "typescript_tools"}) {
    std::ifstream file("tests/data/templates/" + std::string(name) + ".jinja");
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::mt19937 random(20241122);
  const auto below = [&random](size_t n) { return static_cast<size_t>(random() % n); };
  int n_rendered = 0;
  for (int round = 0; round < 10000; ++round) {
    std::string source = seeds[below(seeds.size())];
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const std::string& other = seeds[below(seeds.size())];
      const size_t at = below(source.size() + 1);
      const size_t from = below(other.size() + 1);
      const size_t n_old = 1 + below(8);
      const size_t n_new = 1 + below(20);
      switch (below(4)) {
        case 0:
          source.erase(at, n_old);
          break;
        case 1:
          source.insert(at, other.substr(from, n_new));
          break;
        case 2:
          source.replace(at, n_old, other.substr(from, n_new));
          break;
        default:
          if (at < source.size()) source[at] = static_cast<char>(random());
      }
    }
    try {
      ChatTemplate(source).render(oracle["variables"], 0);
      ++n_rendered;
    } catch (const prefold::FormatError&) {
    } catch (const prefold::RequestError& error) {
      CHECK(error.code() == "template_error");
    }
  }
  CHECK(n_rendered > 200);
}
