#include "report/page/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "report/human_numbers.h"
#include "report/page/figures.h"
#include "report/page/style.h"
#include "report/page/svg.h"
#include "report/page/table.h"

namespace prefold {
namespace {

struct Figure {
  std::string name;
  std::string (*text)(double);
  double ReportData::*value;
};

std::string in_seconds(double s) { return human_seconds(s); }
std::string in_bytes(double n) { return human_bytes(static_cast<int64_t>(n + 0.5)); }
std::string in_counts(double n) { return human_count(static_cast<int64_t>(n + 0.5)); }
std::string per_second(double rate) { return human_rate(rate) + "/s"; }

const std::vector<Figure>& figures() {
  static const std::vector<Figure> kFigures = {
      {"answered", in_counts, &ReportData::n_succeeded},
      {"failed", in_counts, &ReportData::n_failed},
      {"whole time", in_seconds, &ReportData::total_s},
      {"run time", in_seconds, &ReportData::run_s},
      {"requests", per_second, &ReportData::requests_per_s},
      {"output tokens", per_second, &ReportData::output_tokens_per_s},
      {"prompt tokens", per_second, &ReportData::prompt_tokens_per_s},
      {"prompt tokens computed", in_counts, &ReportData::computed_tokens},
      {"output tokens in all", in_counts, &ReportData::output_tokens},
      {"steps", in_counts, &ReportData::n_steps},
      {"sequences that yielded", in_counts, &ReportData::n_yields},
      {"largest KV cache", in_bytes, &ReportData::peak_kv_bytes},
      {"largest memory", in_bytes, &ReportData::peak_rss_bytes}};
  return kFigures;
}

std::string tile(const std::string& name, const std::string& value, const std::string& more) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd><dd class=\"more\">{}</dd></div>",
                     html_escaped(name), html_escaped(value), html_escaped(more));
}

// What was not answered.
std::string rest_of_requests(const ReportData& run) {
  const double n_left = run.n_requests - run.n_succeeded - run.n_failed;
  return (run.n_failed > 0 ? in_counts(run.n_failed) + " failed" : "none failed") +
         (n_left > 0 ? fmt::format(", {} left", in_counts(n_left)) : "");
}

std::string tiles(const ReportData& run) {
  const auto n = [](double value) { return static_cast<int64_t>(value + 0.5); };
  return "<dl class=\"tiles\">" +
         tile("requests answered", in_counts(run.n_succeeded), rest_of_requests(run)) +
         tile("time", human_seconds(run.total_s), human_seconds(run.run_s) + " in steps") +
         tile("output", human_rate(run.output_tokens_per_s) + " tok/s",
              in_counts(run.output_tokens) + " tokens") +
         tile("prompt tokens saved",
              human_percent(n(run.prompt_tokens - run.computed_tokens), n(run.prompt_tokens)),
              fmt::format("{} of {} computed", in_counts(run.computed_tokens),
                          in_counts(run.prompt_tokens))) +
         tile("KV cache", in_bytes(run.peak_kv_bytes),
              "at most, of " + in_bytes(run.kv_pool_bytes)) +
         tile("memory", in_bytes(run.peak_rss_bytes), "at most") + "</dl>\n";
}

std::string machine_of(const ReportData& run) {
  return fmt::format("{}{}, {} threads", run.gpu.empty() ? "" : run.gpu + ", ", run.cpu,
                     run.threads);
}

std::string heading(const std::vector<ReportData>& runs) {
  std::string html = "<header><h1>prefold: ";
  html += runs.size() > 1 ? "two runs compared" : "report of a run";
  html += "</h1>";
  for (size_t i = 0; i < runs.size(); ++i) {
    const ReportData& run = runs[i];
    html += "<p>";
    if (runs.size() > 1) {
      html += fmt::format("<span class=\"key run-{0}\"></span><b>{1}</b> ", i == 0 ? "a" : "b",
                          i == 0 ? "A" : "B");
    }
    html += html_escaped(fmt::format("{}: {} ({}) on {}", run.file, run.model, run.architecture,
                                     machine_of(run))) +
            "</p>";
  }
  return html + "</header>\n";
}

std::string comparison(const ReportData& a, const ReportData& b) {
  std::vector<std::vector<std::string>> rows{{"", "A", "B", "B / A"}};
  for (const Figure& figure : figures()) {
    const double x = a.*figure.value, y = b.*figure.value;
    if (x == 0 && y == 0) continue;
    rows.push_back({figure.name, figure.text(x), figure.text(y),
                    x > 0 ? fmt::format("{:.2f}", y / x) : std::string("")});
  }
  return "<section class=\"card\"><h2>Side by side</h2>" + html_table(rows) + "</section>\n";
}

std::string options(const std::vector<ReportData>& runs) {
  std::vector<std::vector<std::string>> rows{{"option", runs.size() > 1 ? "A" : "value"}};
  if (runs.size() > 1) rows[0].push_back("B");
  for (const auto& [name, value] : runs[0].options) rows.push_back({name, value});
  if (runs.size() == 1) {
    return "<section class=\"card options\"><h2>Options</h2><details><summary>All, as they were "
           "resolved</summary>" +
           html_table(rows) + "</details></section>\n";
  }
  for (const auto& [name, value] : runs[1].options) {
    const auto row = std::find_if(rows.begin() + 1, rows.end(),
                                  [&key = name](const auto& cells) { return cells[0] == key; });
    if (row == rows.end()) {
      rows.push_back({name, "", value});
    } else {
      row->push_back(value);
    }
  }
  for (size_t i = 1; i < rows.size(); ++i) rows[i].resize(3);
  std::erase_if(rows, [](const auto& row) { return row[1] == row[2]; });
  const char* kHeading = "<section class=\"card options\"><h2>Options that differ</h2>";
  return rows.size() == 1 ? fmt::format("{}<p>None.</p></section>\n", kHeading)
                          : kHeading + html_table(rows) + "</section>\n";
}

}  // namespace

std::string report_page(const std::vector<ReportData>& runs) {
  CHECK(runs.size() == 1 || runs.size() == 2);
  const bool compares = runs.size() == 2;
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n";
  html += fmt::format("<title>prefold: {}{}</title>\n<style>{}</style></head>\n<body>\n",
                      html_escaped(runs[0].file),
                      compares ? " and " + html_escaped(runs[1].file) : "", kPageStyle);
  html += heading(runs);
  if (!compares) html += tiles(runs[0]);
  html += "<main>\n";
  if (compares) html += comparison(runs[0], runs[1]);
  // Pairs of about one height stand side by side.
  html += tokens_figure(runs);
  if (!compares) html += time_figure(runs);
  html += steps_figure(runs);
  if (!compares) html += forest_figure(runs[0]);
  html += running_figure(runs) + kv_figure(runs) + durations_figure(runs);
  if (compares) html += time_figure(runs);
  html += ops_figure(runs) + options(runs);
  html += "</main>\n";
  return html +
         "<footer>Made by prefold report; nothing in this page is loaded from elsewhere."
         "</footer>\n</body></html>\n";
}

}  // namespace prefold
