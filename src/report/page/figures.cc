#include "report/page/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "report/human_numbers.h"
#include "report/page/svg.h"
#include "report/page/table.h"

namespace prefold {
namespace {

constexpr int kXTicks = 6, kYTicks = 5;
constexpr size_t kTableRows = 24;

using Rows = std::vector<std::vector<std::string>>;

bool compares(const Runs& runs) { return runs.size() > 1; }
const char* run_name(size_t i) { return i == 0 ? "A" : "B"; }
const char* run_class(size_t i) { return i == 0 ? "run-a" : "run-b"; }

std::string count(double n) { return human_count(static_cast<int64_t>(n + 0.5)); }
std::string bytes(double n) { return human_bytes(static_cast<int64_t>(n + 0.5)); }

double longest_s(const Runs& runs) {
  double s = 0;
  for (const ReportData& run : runs) {
    if (!run.series.empty()) s = std::max(s, run.series.back().end_s);
  }
  return s;
}

using ValueFn = std::function<double(const ReportData& run, const SeriesPoint& point)>;

std::vector<Point> over_time(const ReportData& run, const ValueFn& value) {
  std::vector<Point> points;
  for (const SeriesPoint& point : run.series) points.push_back({point.end_s, value(run, point)});
  return points;
}

double most_of(const Runs& runs, const ValueFn& value) {
  double most = 0;
  for (const ReportData& run : runs) {
    for (const SeriesPoint& point : run.series) most = std::max(most, value(run, point));
  }
  return most;
}

// Some of the points, at most kTableRows, the last one among them.
Rows sampled(const ReportData& run, const std::vector<std::string>& headings,
             const std::function<std::vector<std::string>(const SeriesPoint& point)>& row) {
  Rows rows{headings};
  const size_t stride = std::max<size_t>((run.series.size() + kTableRows - 1) / kTableRows, 1);
  for (size_t i = 0; i < run.series.size(); ++i) {
    const size_t from_end = run.series.size() - 1 - i;
    if (from_end % stride == 0) rows.push_back(row(run.series[i]));
  }
  return rows;
}

std::string nothing_to_show(const char* heading) {
  return figure_section(heading, "No step was run, or this report does not have it.", "");
}

// Two lines beside their names in the upper right corner.
std::string run_legend() {
  return "<p class=\"legend\"><span class=\"key run-a\"></span>A <span class=\"key "
         "run-b\"></span>B</p>";
}

// One quantity over time: an area, or a line a run.
std::string series_picture(const Runs& runs, const std::string& title, const ValueFn& value,
                           const std::function<std::vector<Tick>(double most)>& ticks,
                           const std::string& unit, const char* css_class,
                           const std::function<std::string(double)>& words) {
  const double most = std::max(most_of(runs, value), 1e-9);
  const double x_most = std::max(longest_s(runs), 1e-9);
  Chart chart(title,
              fmt::format("{} over {}; {} at most", title, human_seconds(x_most), words(most)),
              x_most, most * 1.08);
  chart.y_axis(ticks(most * 1.08), unit);
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::vector<Point> points = over_time(runs[i], value);
    if (!compares(runs)) chart.area(points, {}, css_class);
    chart.step_line(points, compares(runs) ? run_class(i) : css_class);
  }
  chart.x_axis(time_ticks(x_most, kXTicks), "time since the first step");
  return (compares(runs) ? run_legend() : std::string()) + chart.take();
}

Rows series_table(const Runs& runs, const std::string& name, const ValueFn& value,
                  const std::function<std::string(double)>& words) {
  Rows rows;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string heading = compares(runs) ? fmt::format("{}, {}", name, run_name(i)) : name;
    Rows more = sampled(runs[i], {"until", heading}, [&](const SeriesPoint& point) {
      return std::vector<std::string>{human_seconds(point.end_s), words(value(runs[i], point))};
    });
    rows.insert(rows.end(), more.begin(), more.end());
  }
  return rows;
}

// Bars for each run, or for the only one without its name.
std::string named(const Runs& runs, size_t i, const std::string& name) {
  return compares(runs) ? fmt::format("{} {}", name, run_name(i)) : name;
}

}  // namespace

std::string tokens_figure(const Runs& runs) {
  struct Kind {
    const char* name;
    double ReportData::*tokens;
    const char* css_class;
    const char* meaning;
  };
  static const std::vector<Kind> kKinds = {
      {"in prompts", &ReportData::prompt_tokens, "reused",
       "tokens of all prompts, as if nothing were shared"},
      {"distinct", &ReportData::ideal_tokens, "ideal",
       "the least that sharing can leave to compute"},
      {"computed", &ReportData::computed_tokens, "prefill",
       "prompt tokens that went through the model"},
      {"output", &ReportData::output_tokens, "decode", "tokens sampled"}};
  std::vector<Bar> bars;
  for (const Kind& kind : kKinds) {
    for (size_t i = 0; i < runs.size(); ++i) {
      const double n = runs[i].*kind.tokens;
      bars.push_back({named(runs, i, kind.name),
                      {{n, compares(runs) ? run_class(i) : kind.css_class, kind.meaning}},
                      count(n)});
    }
  }
  Rows rows{{"tokens", "in prompts", "distinct", "computed", "reused", "computed again", "padding",
             "output"}};
  for (size_t i = 0; i < runs.size(); ++i) {
    const ReportData& run = runs[i];
    rows.push_back({compares(runs) ? run_name(i) : "run", count(run.prompt_tokens),
                    count(run.ideal_tokens), count(run.computed_tokens), count(run.reused_tokens),
                    count(run.recomputed_tokens), count(run.padding_tokens),
                    count(run.output_tokens)});
  }
  const ReportData& run = runs.front();
  const auto saved = [&](double left) {
    return human_percent(static_cast<int64_t>(run.prompt_tokens - left),
                         static_cast<int64_t>(run.prompt_tokens));
  };
  const std::string sentence =
      compares(runs)
          ? std::string("What the prompts hold, what of it is distinct, and what was computed.")
          : fmt::format(
                "{} of the prompts' tokens were not computed, since their keys and values were "
                "there already; at best {} need not be.",
                saved(run.computed_tokens), saved(run.ideal_tokens));
  return figure_section("Tokens", sentence,
                        bar_chart("Tokens", sentence, bars) + folded_table(rows));
}

std::string time_figure(const Runs& runs) {
  std::vector<Bar> bars;
  Rows rows{{"", "load", "plan", "run", "rest", "total"}};
  for (size_t i = 0; i < runs.size(); ++i) {
    const ReportData& run = runs[i];
    const double rest = std::max(run.total_s - run.load_s - run.plan_s - run.run_s, 0.0);
    const auto part = [](const char* name, double s) {
      return BarPart{s, fmt::format("phase-{}", name),
                     fmt::format("{}: {}", name, human_seconds(s))};
    };
    bars.push_back({compares(runs) ? run_name(i) : "whole run",
                    {part("load", run.load_s), part("plan", run.plan_s), part("run", run.run_s),
                     part("rest", rest)},
                    human_seconds(run.total_s)});
    rows.push_back({compares(runs) ? run_name(i) : "time", human_seconds(run.load_s),
                    human_seconds(run.plan_s), human_seconds(run.run_s), human_seconds(rest),
                    human_seconds(run.total_s)});
  }
  std::string legend = "<p class=\"legend\">";
  for (const char* name : {"load", "plan", "run", "rest"}) {
    legend += fmt::format("<span class=\"key phase-{0}\"></span>{0} ", name);
  }
  const std::string sentence =
      "Load: reading and repacking the model. Plan: reading the input, tokenising, planning. Run: "
      "from the first step to the last answer.";
  return figure_section(
      "Time by phase", sentence,
      legend + "</p>" + bar_chart("Time by phase", sentence, bars) + html_table(rows));
}

std::string ops_figure(const Runs& runs) {
  std::vector<std::string> names;
  for (const ReportData& run : runs) {
    for (const auto& [name, s] : run.op_s) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  if (names.empty()) {
    return figure_section("Time by operation",
                          "The device does not tell the host what took how long.", "");
  }
  const auto seconds = [](const ReportData& run, const std::string& name) {
    for (const auto& [op, s] : run.op_s) {
      if (op == name) return s;
    }
    return 0.0;
  };
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return seconds(runs.front(), a) > seconds(runs.front(), b);
  });
  std::vector<Bar> bars;
  Rows rows{{"operation"}};
  for (size_t i = 0; i < runs.size(); ++i) {
    rows[0].push_back(compares(runs) ? std::string("time ") + run_name(i) : "time");
    rows[0].push_back("of run");
  }
  for (const std::string& name : names) {
    rows.push_back({name});
    for (size_t i = 0; i < runs.size(); ++i) {
      const double s = seconds(runs[i], name);
      const std::string share =
          runs[i].run_s > 0 ? fmt::format("{:.1f} %", 100 * s / runs[i].run_s) : "";
      std::string shown = name;
      std::replace(shown.begin(), shown.end(), '_', ' ');
      bars.push_back({named(runs, i, shown),
                      {{s, compares(runs) ? run_class(i) : "prefill",
                        fmt::format("{}: {}", name, human_seconds(s))}},
                      fmt::format("{}  {}", human_seconds(s), share)});
      rows.back().push_back(human_seconds(s));
      rows.back().push_back(share);
    }
  }
  const std::string sentence = fmt::format(
      "What the steps spent their time on. For {:.1f} % of the run no step was under way{}.",
      runs.front().wait_percent,
      compares(runs) ? fmt::format(" (A; B {:.1f} %)", runs.back().wait_percent) : "");
  return figure_section("Time by operation", sentence,
                        bar_chart("Time by operation", sentence, bars) + folded_table(rows));
}

std::string steps_figure(const Runs& runs) {
  constexpr const char* kHeading = "Tokens per step";
  if (longest_s(runs) <= 0) return nothing_to_show(kHeading);
  const ValueFn all = [](const ReportData&, const SeriesPoint& point) {
    return (point.prefill_tokens + point.decode_tokens) / point.n_steps;
  };
  const auto ticks = [](double most) { return count_ticks(most, kYTicks, count); };
  const ReportData& run = runs.front();
  if (compares(runs)) {
    return figure_section(kHeading, "Rows of a step, prompts and answers together.",
                          series_picture(runs, kHeading, all, ticks, "tokens", "", count) +
                              folded_table(series_table(runs, "tokens per step", all, count)));
  }
  const double x_most = longest_s(runs);
  const double most = std::max({most_of(runs, all), run.token_budget, 1e-9});
  const std::string sentence = fmt::format(
      "{} steps of {:.0f} tokens on average: chunks of prompts, and one token for each sequence "
      "that "
      "is being answered.",
      count(run.n_steps), run.mean_step_tokens);
  Chart chart(kHeading, sentence, x_most, most * 1.12);
  chart.y_axis(count_ticks(most * 1.12, kYTicks, count), "tokens");
  const std::vector<Point> decode = over_time(run, [](const ReportData&, const SeriesPoint& point) {
    return point.decode_tokens / point.n_steps;
  });
  std::vector<double> low;
  for (const Point& point : decode) low.push_back(point.y);
  chart.area(decode, {}, "decode");
  chart.area(over_time(run, all), low, "prefill");
  if (run.token_budget > 0) chart.level(run.token_budget, "budget " + count(run.token_budget));
  chart.x_axis(time_ticks(x_most, kXTicks), "time since the first step");
  const Rows rows = sampled(
      run, {"until", "steps", "prefill per step", "decode per step"}, [](const SeriesPoint& point) {
        return std::vector<std::string>{human_seconds(point.end_s), count(point.n_steps),
                                        fmt::format("{:.1f}", point.prefill_tokens / point.n_steps),
                                        fmt::format("{:.1f}", point.decode_tokens / point.n_steps)};
      });
  return figure_section(kHeading, sentence,
                        "<p class=\"legend\"><span class=\"key prefill\"></span>prefill <span "
                        "class=\"key decode\"></span>decode</p>" +
                            chart.take() + folded_table(rows));
}

std::string kv_figure(const Runs& runs) {
  constexpr const char* kHeading = "KV cache in use";
  if (longest_s(runs) <= 0) return nothing_to_show(kHeading);
  const ValueFn used = [](const ReportData& run, const SeriesPoint& point) {
    return run.kv_pool_blocks > 0 ? point.kv_blocks / run.kv_pool_blocks * run.kv_pool_bytes : 0.0;
  };
  std::string sentence = "Of pools of ";
  for (size_t i = 0; i < runs.size(); ++i) {
    sentence += fmt::format("{}{}", i > 0 ? " and " : "", bytes(runs[i].kv_pool_bytes));
  }
  sentence += ".";
  if (!compares(runs)) {
    sentence = fmt::format("{} at most, {} of the pool of {}.", bytes(runs[0].peak_kv_bytes),
                           human_percent(static_cast<int64_t>(runs[0].peak_kv_bytes),
                                         static_cast<int64_t>(runs[0].kv_pool_bytes)),
                           bytes(runs[0].kv_pool_bytes));
  }
  return figure_section(
      kHeading, sentence,
      series_picture(
          runs, kHeading, used, [](double most) { return byte_ticks(most, kYTicks); }, "", "kv",
          bytes) +
          folded_table(series_table(runs, "in use", used, bytes)));
}

std::string running_figure(const Runs& runs) {
  constexpr const char* kHeading = "Sequences being answered";
  if (longest_s(runs) <= 0) return nothing_to_show(kHeading);
  const ValueFn live = [](const ReportData&, const SeriesPoint& point) {
    return point.live_requests;
  };
  std::string sentence = fmt::format("{} at most.", count(runs[0].peak_live));
  if (compares(runs)) {
    sentence = fmt::format("{} at most in A, {} in B.", count(runs[0].peak_live),
                           count(runs[1].peak_live));
  }
  return figure_section(
      kHeading, sentence,
      series_picture(
          runs, kHeading, live, [](double most) { return count_ticks(most, kYTicks, count); },
          "sequences", "live", count) +
          folded_table(series_table(runs, "sequences", live, count)));
}

namespace {

// The share of requests done by a time; from 0.
std::vector<Point> cumulated(const DurationData& data) {
  std::vector<Point> points{{0, 0}};
  double sum = 0, all = 0;
  for (const auto& [ms, n] : data.histogram) all += n;
  for (const auto& [ms, n] : data.histogram) {
    sum += n;
    points.push_back({ms / 1000, 100 * sum / std::max(all, 1.0)});
  }
  return points;
}

std::vector<std::string> quantile_row(const std::string& name, const DurationData& data) {
  const auto cell = [](double ms) { return human_seconds(ms / 1000); };
  return {name, cell(data.mean), cell(data.p50), cell(data.p90), cell(data.p99), cell(data.max)};
}

}  // namespace

std::string durations_figure(const Runs& runs) {
  constexpr const char* kHeading = "First tokens and whole answers";
  double most_s = 0;
  for (const ReportData& run : runs) most_s = std::max(most_s, run.latency.max / 1000);
  Rows rows{{"since the first step", "mean", "p50", "p90", "p99", "max"}};
  bool any = false;
  for (size_t i = 0; i < runs.size(); ++i) {
    rows.push_back(quantile_row(named(runs, i, "first token"), runs[i].ttft));
    rows.push_back(quantile_row(named(runs, i, "whole answer"), runs[i].latency));
    any = any || !runs[i].latency.histogram.empty();
  }
  if (!any || most_s <= 0) {
    return figure_section(kHeading, "How long requests waited, from the first step on.",
                          html_table(rows));
  }
  Chart chart(kHeading,
              "Share of requests whose first token, and whose whole answer, had come by a time",
              most_s, 104);
  chart.y_axis({{0, "0"}, {25, "25"}, {50, "50"}, {75, "75"}, {100, "100"}}, "% of requests");
  for (size_t i = 0; i < runs.size(); ++i) {
    chart.line(cumulated(runs[i].ttft),
               compares(runs) ? fmt::format("{} faint", run_class(i)) : "prefill");
    chart.line(cumulated(runs[i].latency), compares(runs) ? run_class(i) : "decode");
  }
  chart.x_axis(time_ticks(most_s, kXTicks), "time since the first step");
  const std::string legend =
      compares(runs)
          ? run_legend()
          : std::string(
                "<p class=\"legend\"><span class=\"key prefill\"></span>first token <span "
                "class=\"key decode\"></span>whole answer</p>");
  const std::string sentence =
      compares(runs)
          ? std::string(
                "Share of requests that had their first token (thin) and their whole answer "
                "(thick) by a time.")
          : std::string(
                "Share of requests that had their first token, and their whole answer, by a "
                "time. A batch is done when the last one is.");
  return figure_section(kHeading, sentence, legend + chart.take() + html_table(rows));
}

}  // namespace prefold
