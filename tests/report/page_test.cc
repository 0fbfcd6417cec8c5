#include "report/page/page.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/error.h"
#include "report/page/svg.h"
#include "report/report.h"

using namespace prefold;
using Json = nlohmann::ordered_json;

namespace {

Json sample_report() {
  RunMetrics metrics;
  metrics.requests = {100, 98, 2};
  metrics.tokens = {50'000, 10'000, 10'000, 40'000, 0, 5000};
  metrics.ops.emplace().linear = 7.5;
  metrics.time = {1, 2, 10, 14, 0.5};
  metrics.memory = {int64_t{3} << 29, 1 << 28, 1 << 30, 4096};
  metrics.machine = {"Some CPU", "avx2", 2};
  metrics.model = {"m.gguf", "sha256:00ff", "llama"};
  metrics.options = {{"max_num_batched_tokens", 512}, {"precision", "exact"}};
  for (int i = 1; i <= 50; ++i) metrics.steps.add({0.2 * i, 500 - 8 * i, 8 * i, 2 * i, 20 * i});
  for (int i = 1; i <= 98; ++i) {
    metrics.ttft.add(0.05 * i);
    metrics.latency.add(0.1 * i);
  }
  metrics.prefix_forest = {{"parent", {nullptr, 0, 1}},
                           {"depth", {0, 0, 400}},
                           {"tokens", {0, 400, 50}},
                           {"prompts", {100, 90, 40}},
                           {"first_request", {1, 3, 5}},
                           {"hidden_nodes", {10, 50, 40}},
                           {"hidden_tokens", {1000, 5000, 3550}}};
  return make_report(metrics);
}

ReportData read(const Json& report) { return read_report_data("a.json", report_text(report)); }

int64_t count(const std::string& text, const std::string& what) {
  int64_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// Elements are closed in the order in which they were opened, attributes are quoted, and nothing
// but markup has a < or >.
void check_well_formed(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at)) {
    const size_t end = html.find('>', at);
    REQUIRE(end != std::string::npos);
    const std::string tag = html.substr(at + 1, end - at - 1);
    CAPTURE(tag);
    REQUIRE(tag.find('<') == std::string::npos);
    CHECK(count(tag, "\"") % 2 == 0);
    at = end;
    const std::string name =
        tag.substr(tag[0] == '/', tag.find_first_of(" /", 1) - (tag[0] == '/'));
    if (tag[0] == '!' || name == "meta" || tag.back() == '/') continue;
    if (tag[0] != '/') {
      open.push_back(name);
      continue;
    }
    REQUIRE_FALSE(open.empty());
    REQUIRE(open.back() == tag.substr(1));
    open.pop_back();
  }
  CHECK(open.empty());
}

}  // namespace

TEST_CASE("a page has every picture, each with a title, a description and its numbers") {
  const std::string page = report_page({read(sample_report())});
  check_well_formed(page);
  for (const char* heading : {"Tokens", "Tokens per step", "Sequences being answered",
                              "KV cache in use", "First tokens and whole answers", "Time by phase",
                              "Time by operation", "What prompts share", "Options"}) {
    CAPTURE(heading);
    CHECK(count(page, std::string("<h2>") + heading + "</h2>") == 1);
  }
  CHECK(count(page, "<svg ") == 8);
  CHECK(count(page, "role=\"img\"><title>") == 8);
  CHECK(count(page, "</title><desc>") == 8);
  CHECK(count(page, "<table>") >= 8);
  CHECK(page.find("80.0 % of the prompts&#39; tokens were not computed") != std::string::npos);
  CHECK(page.find("budget 512") != std::string::npos);
  CHECK(page.find("400 tokens, 90 prompts") != std::string::npos);
  CHECK(page.size() < 100'000);
}

TEST_CASE("two runs side by side: figures with their ratio, pictures overlaid") {
  Json slower = sample_report();
  slower["time_s"]["run"] = 20.0;
  slower["options"]["precision"] = "fast";
  const std::string page = report_page({read(sample_report()), read(slower)});
  check_well_formed(page);
  CHECK(page.find("<th scope=\"row\">run time</th><td>10.0 s</td><td>20.0 s</td><td>2.00</td>") !=
        std::string::npos);
  CHECK(page.find("<th scope=\"row\">precision</th><td>exact</td><td>fast</td>") !=
        std::string::npos);
  CHECK(page.find(">max_num_batched_tokens<") == std::string::npos);  // does not differ
  CHECK(count(page, "class=\"line run-a") == count(page, "class=\"line run-b"));
  CHECK(count(page, "class=\"line run-a") == 5);
}

TEST_CASE("nothing is loaded, and nothing in a report is obeyed") {
  Json hostile = sample_report();
  const std::string evil = "</title></style><script>alert(1)</script><img src=x onerror='a()'>\"&";
  hostile["model"]["path"] = evil;
  hostile["model"]["architecture"] = evil;
  hostile["machine"]["cpu"] = evil;
  hostile["machine"]["gpu"] = {{"name", evil}};
  hostile["options"][evil] = evil;
  hostile["op_time_s"] = {{evil, 3.0}};
  const std::string text = report_text(hostile);
  for (const std::string& page :
       {report_page({read_report_data(evil, text)}),
        report_page({read_report_data(evil, text), read_report_data("b", text)})}) {
    check_well_formed(page);
    CHECK(count(page, "<script") == 0);
    CHECK(count(page, "<img") == 0);
    CHECK(count(page, "javascript:") == 0);
    CHECK(count(page, "http") == 1);  // of http-equiv
    CHECK(count(page, "url(") == 0);
    CHECK(count(page, "default-src 'none'") == 1);
    CHECK(count(page, "&lt;script&gt;alert(1)&lt;/script&gt;") > 3);
  }
  CHECK(html_escaped("a\x01\n<'\"&>") == "a\xef\xbf\xbd &lt;&#39;&quot;&amp;&gt;");
}

TEST_CASE("a run that did nothing, and a report of before, have a page") {
  check_well_formed(report_page({read(make_report(RunMetrics{}))}));
  Json old = sample_report();
  old.erase("prefix_forest");
  old["ttft_ms"].erase("histogram");
  old["latency_ms"].erase("histogram");
  old["op_time_s"] = nullptr;
  const std::string page = report_page({read(old)});
  check_well_formed(page);
  CHECK(page.find("newer ones do") != std::string::npos);
}

TEST_CASE("what is no report is refused with its key and what was wanted") {
  const auto refusal = [](const std::string& text) {
    try {
      read_report_data("a.json", text);
    } catch (const FormatError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const auto with = [&](const std::string& pointer, const Json& value) {
    Json report = sample_report();
    report[Json::json_pointer(pointer)] = value;
    return refusal(report_text(report));
  };
  CHECK(refusal("{") == "a.json: is no JSON; expected a report of a run");
  CHECK(refusal("[]") == "a.json: there is no \"schema\"; expected a report of a run (--report)");
  CHECK(refusal("{\"schema\": 3}") == "a.json: \"schema\" is 3; expected prefold-report/1");
  CHECK(refusal("{\"schema\": \"prefold-report/1\"}") == "a.json: there is no \"model.path\"");
  CHECK(with("/schema", "prefold-report/2") ==
        "a.json: \"schema\" is \"prefold-report/2\"; expected prefold-report/1");
  CHECK(with("/time_s/run", "long") == "a.json: \"time_s.run\" is \"long\"; expected a number");
  CHECK(with("/time_s/run", -1) ==
        "a.json: \"time_s.run\" is -1; expected a number from 0 to 1e18");
  CHECK(with("/model/path", 3) == "a.json: \"model.path\" is 3; expected a text");
  CHECK(with("/steps/series/end_s", {1, 2}).starts_with("a.json: \"steps.series.n_steps\" is [1,"));
  CHECK(with("/steps/series/end_s/3", 0.0).ends_with("expected rising numbers"));
  CHECK(with("/steps/series/n_steps/3", 0).ends_with("expected 1 or more"));
  CHECK(with("/prefix_forest/parent/1", 1).ends_with("expected the number of an earlier node"));
  CHECK(with("/prefix_forest/parent/1", -5).ends_with("expected the number of an earlier node"));
  CHECK(with("/prefix_forest/tokens", {1}).ends_with("expected 3 numbers"));
  CHECK(with("/latency_ms/histogram/to_ms/5", 0).ends_with("expected rising numbers"));
  CHECK(with("/options", 3).ends_with("expected an object"));
  CHECK(with("/op_time_s", "x").ends_with("expected an object or null"));
}

TEST_CASE("ticks are round numbers") {
  const auto labels = [](const std::vector<Tick>& ticks) {
    std::string all;
    for (const Tick& tick : ticks) all += tick.label + " ";
    return all;
  };
  const auto plain = [](double value) { return std::to_string(static_cast<int>(value)); };
  CHECK(labels(count_ticks(550, 5, plain)) == "0 200 400 ");
  CHECK(labels(count_ticks(1000, 5, plain)) == "0 200 400 600 800 1000 ");
  CHECK(labels(time_ticks(0.7, 6)) == "0 0.2 s 0.4 s 0.6 s ");
  CHECK(labels(time_ticks(25, 6)) == "0 5 s 10 s 15 s 20 s 25 s ");
  CHECK(labels(time_ticks(1500, 6)) == "0:00 5:00 10:00 15:00 20:00 25:00 ");
  CHECK(labels(time_ticks(9 * 3600, 6)) == "0:00 2:00:00 4:00:00 6:00:00 8:00:00 ");
  CHECK(labels(byte_ticks(300e6, 5)) == "0 100 MiB 200 MiB ");
}
